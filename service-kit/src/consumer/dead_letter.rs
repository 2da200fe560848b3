//! Writes dead letters: the event that failed, which parks its key, and the later events of that key.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{Array, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{DeadLetterCopy, DeadLetterSink, Mode, ReactionError, Record};
use crate::schema::{dead_letters, parked_keys};

/// A record larger than this is copied without its value, and without its own headers where these alone are larger.
/// The limit leaves room for the added headers below the 1 MiB that brokers allow a record by default.
const COPY_BYTES: usize = 900_000;
/// The longest error text that is stored; the text of a failed statement can be long.
const ERROR_CHARS: usize = 2_000;

/// Which keys of these records are parked, each with its topic. The rows are locked `for share`: a replay that is about
/// to unpark a key waits until this transaction has added its events to the key's queue.
pub(crate) async fn parked(
    mut conn: &AsyncPgConnection,
    consumer: &str,
    records: &[&Record],
) -> QueryResult<Vec<(String, String)>> {
    let wanted: BTreeSet<_> = records.iter().map(|record| record.topic_and_key()).collect();
    let (topics, keys) = wanted.into_iter().unzip();
    Parked { consumer, topics, keys }.load(&mut conn).await
}

crate::prepared! {
    struct Parked<'a> { consumer: &'a str as Text, topics: Vec<&'a str> as Array<Text>, keys: Vec<&'a str> as Array<Text> }
        -> (Text, Text);
    "select topic, key from parked_keys where consumer = ? and (topic, key) in (select * from unnest(?, ?)) \
     order by topic, key for share"
}

/// Makes a dead letter of an event that can't be handled, parks its key and sends a copy. Returns false when the
/// record is a dead letter already.
pub(crate) async fn write(
    conn: &mut AsyncPgConnection,
    sink: &impl DeadLetterSink,
    consumer: &str,
    mode: Mode,
    record: &Record,
    failure: &Failure<'_>,
) -> Result<bool, ReactionError> {
    if mode == Mode::Inbox {
        park(conn, consumer, record).await?;
    }
    let new = insert(conn, consumer, record, Some(failure)).await?;
    if new {
        sink.dead_letter(conn, copy(consumer, record, failure)).await?;
    }
    Ok(new)
}

/// Stores an event behind the dead letter that parked its key.
pub(crate) async fn queue_behind(conn: &mut AsyncPgConnection, consumer: &str, record: &Record) -> QueryResult<bool> {
    insert(conn, consumer, record, None).await
}

pub(crate) struct Failure<'a> {
    pub error: &'a str,
    pub attempts: i32,
}

impl Failure<'_> {
    fn shortened(&self) -> String {
        shortened(self.error)
    }
}

/// Cuts the text to a readable length and drops NULs, which PostgreSQL can't store.
pub(crate) fn shortened(error: &str) -> String {
    error.chars().filter(|c| *c != '\0').take(ERROR_CHARS).collect()
}

async fn park(conn: &mut AsyncPgConnection, consumer: &str, record: &Record) -> QueryResult<()> {
    // This update changes nothing, but it locks the row. If a replay is deleting the row, it waits for that and
    // inserts a new one.
    diesel::insert_into(parked_keys::table)
        .values((
            parked_keys::consumer.eq(consumer),
            parked_keys::topic.eq(&record.place.topic),
            parked_keys::key.eq(&record.key),
        ))
        .on_conflict((parked_keys::consumer, parked_keys::topic, parked_keys::key))
        .do_update()
        .set(parked_keys::key.eq(&record.key))
        .execute(conn)
        .await
        .map(drop)
}

async fn insert(
    conn: &mut AsyncPgConnection,
    consumer: &str,
    record: &Record,
    failure: Option<&Failure<'_>>,
) -> QueryResult<bool> {
    let event_id: Option<Uuid> = record.header("ce_id").and_then(|id| id.parse().ok());
    let inserted = diesel::insert_into(dead_letters::table)
        .values((
            dead_letters::consumer.eq(consumer),
            dead_letters::topic.eq(&record.place.topic),
            dead_letters::partition.eq(record.place.partition),
            dead_letters::record_offset.eq(record.place.offset),
            dead_letters::key.eq(&record.key),
            dead_letters::headers.eq(serde_json::json!(record.headers)),
            dead_letters::value.eq(record.value.as_deref()),
            dead_letters::event_id.eq(event_id),
            dead_letters::event_type.eq(record.header("ce_type")),
            dead_letters::error.eq(failure.map(Failure::shortened)),
            dead_letters::attempts.eq(failure.map_or(0, |failure| failure.attempts)),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(inserted == 1)
}

fn copy(consumer: &str, record: &Record, failure: &Failure<'_>) -> DeadLetterCopy {
    let omitted = record.bytes() > COPY_BYTES;
    let headers_omitted = record.bytes() - record.value.as_ref().map_or(0, Vec::len) > COPY_BYTES;
    let mut headers = if headers_omitted { Vec::new() } else { record.headers.clone() };
    let place = &record.place;
    let mut note = |name: &str, value: String| headers.push((format!("dead_letter_{name}"), value));
    note("topic", place.topic.clone());
    note("partition", place.partition.to_string());
    note("offset", place.offset.to_string());
    note("error", failure.shortened());
    note("attempts", failure.attempts.to_string());
    if omitted {
        note("value_omitted", "true".to_owned());
    }
    if headers_omitted {
        note("headers_omitted", "true".to_owned());
    }
    DeadLetterCopy {
        id: Uuid::now_v7(),
        topic: format!("{consumer}.dlq"),
        key: record.key.clone(),
        headers,
        value: if omitted { Vec::new() } else { record.value.clone().unwrap_or_default() },
    }
}
