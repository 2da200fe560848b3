//! Dead letters: events that could not be handled, and later events of the same keys that are stored behind them.
//!
//! A person looks at them, fixes the cause and asks for a replay, or discards them. The service's own consumer
//! carries out the replay, since it knows the reactions: in order, one event a transaction, until the key's queue is
//! empty or an event fails again.

mod content;
mod desk;
mod draft;
mod dry_run;
mod ended;
mod groups;
mod http;
mod jobs;
mod reason;
mod replay;
mod show;
mod versions;
mod written;

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz, Untyped};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::consumer::{Place, Record};
use crate::housekeeping::TimeToLive;
use crate::schema::{dead_letter_records, dead_letters, parked_keys};
use ended::{How, end};

pub use content::{Format, Header, Payload};
pub use desk::Desk;
pub use draft::{Draft, HeaderName, HeaderValue};
pub use dry_run::{DryRun, RowCounts, TableChange, Verdict, WouldAnnounce};
pub use ended::{Decision, Ended, ended};
pub use groups::{Group, GroupId, Ungrouped, groups, ungrouped};
pub(crate) use http::{Routes, routes};
pub(crate) use jobs::run as work_at_jobs;
pub use jobs::{Action as JobAction, Job, Selection, job, jobs};
pub use reason::Reason;
pub(crate) use replay::carry_out;
pub use show::{Behind, Shown, show};
pub use versions::{NotEdited, Version, versions};
pub use written::RowChange;

/// The gauges stop counting here.
const COUNTED: i64 = 10_000;

/// What a letter says that nobody has tried, and before which none is left: it waited behind one that was discarded, or its
/// replay was cancelled. It goes on only if somebody asks for that, so it is found like those that failed: by its cause.
const LEFT_BEHIND: &str =
    "it was never tried: it waited behind another of its key, which is gone; replay it or discard it";

/// How long whoever tries or changes letters waits for a lock and for a statement. Whoever needs what they hold waits as long.
const BOUNDS: &str = "set local lock_timeout = '2s'; set local statement_timeout = '5s'";

/// The rules by which housekeeping forgets what became of letters, and jobs that have ended. Letters themselves stay until
/// somebody ends them.
pub const fn times_to_live() -> [TimeToLive; 3] {
    [ended::time_to_live(), versions::time_to_live(), jobs::time_to_live()]
}

/// A stored event: one that failed, or one that waits behind it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, Queryable, Selectable)]
#[diesel(table_name = dead_letters)]
#[schema(example = json!(http::examples::letter()))]
pub struct DeadLetter {
    /// Its number in this table.
    pub id: i64,
    /// The consumer group that could not handle it.
    pub consumer: String,
    /// The topic of the record.
    pub topic: String,
    /// The partition of the record.
    pub partition: i32,
    /// The offset of the record.
    #[serde(rename = "offset")]
    pub record_offset: i64,
    /// The record's key.
    pub key: String,
    /// `ce_id`, if it has one.
    pub event_id: Option<Uuid>,
    /// `ce_type`, if it has one.
    pub event_type: Option<String>,
    /// Why it failed, or that it waits with nothing ahead of it; none if it only waits behind another of its key.
    pub error: Option<String>,
    /// How often it was tried.
    pub attempts: i32,
    /// When it became a dead letter, by database time.
    pub buried_at: DateTime<Utc>,
    /// When a replay was asked for that is not finished.
    pub replay_requested_at: Option<DateTime<Utc>>,
    /// The error without its values.
    pub cause: Option<String>,
    /// What it shares with others of the same event type, consumer and cause.
    #[serde(rename = "group")]
    pub group_id: Option<String>,
    /// How often a replay was tried and failed.
    pub replays: i32,
    /// How often it was edited; a replay runs the last version.
    pub edits: i32,
}

/// Which dead letters a list has; all if nothing is named.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those of one cause.
    pub group: Option<GroupId>,
    /// Those of one key, in whichever topic.
    pub key: Option<String>,
}

/// A dead letter with its content.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WholeDeadLetter {
    /// Everything but the content.
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// Names and values, in the record's order.
    pub headers: Vec<(String, String)>,
    /// The raw value; none if the record had none.
    pub value: Option<Vec<u8>>,
}

/// Lists up to `limit` dead letters whose numbers are above `after`, oldest first.
///
/// # Errors
/// Fails if the query fails.
pub async fn list(conn: &mut AsyncPgConnection, after: i64, limit: i64) -> QueryResult<Vec<DeadLetter>> {
    list_of(conn, Filter::default(), after, limit).await
}

/// Like [`list`], of some.
///
/// # Errors
/// Fails if the query fails.
pub async fn list_of(
    conn: &mut AsyncPgConnection,
    filter: Filter,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<DeadLetter>> {
    let mut letters = dead_letters::table
        .filter(dead_letters::id.gt(after))
        .order(dead_letters::id)
        .limit(limit)
        .select(DeadLetter::as_select())
        .into_boxed();
    if let Some(group) = filter.group {
        letters = letters.filter(dead_letters::group_id.eq(group.to_string()));
    }
    if let Some(key) = filter.key {
        letters = letters.filter(dead_letters::key.eq(key));
    }
    letters.load(conn).await
}

/// Reads a dead letter with its content: of one that was edited the last version.
///
/// # Errors
/// Fails if the query fails.
pub async fn get(conn: &mut AsyncPgConnection, id: i64) -> QueryResult<Option<WholeDeadLetter>> {
    let letter: Option<DeadLetter> =
        dead_letters::table.find(id).select(DeadLetter::as_select()).first(conn).await.optional()?;
    let Some(letter) = letter else { return Ok(None) };
    let content: Option<(serde_json::Value, Option<Vec<u8>>)> = match letter.edits {
        0 => {
            let content = dead_letter_records::table.find(id);
            content.select((dead_letter_records::headers, dead_letter_records::value)).first(conn).await.optional()?
        }
        edits => Some(versions::newest(conn, id, edits).await?),
    };
    // It may be gone by now.
    let Some((headers, value)) = content else { return Ok(None) };
    let headers = read_headers(headers);
    Ok(Some(WholeDeadLetter { letter, headers, value }))
}

/// Reads a dead letter as the record that it was.
async fn record_of(conn: &mut AsyncPgConnection, id: i64) -> QueryResult<Option<(DeadLetter, Record)>> {
    let Some(WholeDeadLetter { letter, headers, value }) = get(conn, id).await? else { return Ok(None) };
    let place = Place { topic: letter.topic.clone(), partition: letter.partition, offset: letter.record_offset };
    let record = Record { place, key: letter.key.clone(), headers, value, arrival: None };
    Ok(Some((letter, record)))
}

/// Asks for a replay of the dead letter's whole queue: everything that is stored for its key, in order. Returns the
/// length of the queue, 0 if there is no such dead letter.
///
/// # Errors
/// Fails if a statement fails.
pub async fn replay(conn: &mut AsyncPgConnection, id: i64) -> QueryResult<usize> {
    let Some((consumer, topic, key)) = queue_of(conn, id).await? else { return Ok(0) };
    diesel::update(of_key(&consumer, &topic, &key))
        .set(dead_letters::replay_requested_at.eq(sql::<Nullable<Timestamptz>>("now()")))
        .execute(conn)
        .await
}

/// Deletes a dead letter for good; who wanted that and why stays on record. What waits behind it stays until it is replayed, and
/// says so once it is the first. Discarding the last one unparks the key. Returns false if there is no such dead letter.
///
/// # Errors
/// Fails if a statement fails; nothing is deleted then.
pub async fn discard(conn: &mut AsyncPgConnection, id: i64, decision: &Decision) -> QueryResult<bool> {
    conn.transaction(async |conn| {
        conn.batch_execute(BOUNDS).await?;
        let Some((consumer, topic, key)) = queue_of(conn, id).await? else { return Ok(false) };
        hold(conn, &consumer, &topic, &key).await?;
        let gone = end(conn, id, How::Discarded, decision).await?;
        if free_if_empty(conn, &consumer, &topic, &key).await? {
            tell_first(conn, &consumer, &topic, &key).await?;
        }
        Ok(gone)
    })
    .await
}

/// Locks the row of the parked key, if there is one, so that no event joins the key's queue until the transaction
/// ends.
async fn hold(conn: &mut AsyncPgConnection, consumer: &str, topic: &str, key: &str) -> QueryResult<()> {
    parked_keys::table
        .find((consumer, topic, key))
        .select(parked_keys::key)
        .for_update()
        .load::<String>(conn)
        .await
        .map(drop)
}

/// Unparks a key whose queue is empty. Returns whether there is more in it.
async fn free_if_empty(conn: &mut AsyncPgConnection, consumer: &str, topic: &str, key: &str) -> QueryResult<bool> {
    let more: bool = diesel::select(exists(of_key(consumer, topic, key))).get_result(conn).await?;
    if !more {
        diesel::delete(parked_keys::table.find((consumer, topic, key))).execute(conn).await?;
    }
    Ok(more)
}

const TELL_FIRST: &str = "update dead_letters set error = $4
    where id = (select id from dead_letters where consumer = $1 and topic = $2 and key = $3 order by id limit 1)
      and error is null and replay_requested_at is null
    returning id";

#[derive(QueryableByName)]
struct Told {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Notes with the first of a queue that nothing is ahead of it any more, unless it failed itself or is to be replayed. Returns it
/// if it was not noted before.
async fn tell_first(conn: &mut AsyncPgConnection, consumer: &str, topic: &str, key: &str) -> QueryResult<Option<i64>> {
    let told = diesel::sql_query(TELL_FIRST)
        .bind::<Text, _>(consumer)
        .bind::<Text, _>(topic)
        .bind::<Text, _>(key)
        .bind::<Text, _>(LEFT_BEHIND);
    let told: Option<Told> = told.get_result(conn).await.optional()?;
    Ok(told.map(|Told { id }| id))
}

async fn queue_of(conn: &mut AsyncPgConnection, id: i64) -> QueryResult<Option<(String, String, String)>> {
    dead_letters::table
        .find(id)
        .select((dead_letters::consumer, dead_letters::topic, dead_letters::key))
        .first(conn)
        .await
        .optional()
}

#[diesel::dsl::auto_type(no_type_alias)]
fn of_key<'a>(consumer: &'a str, topic: &'a str, key: &'a str) -> _ {
    dead_letters::table
        .filter(dead_letters::consumer.eq(consumer))
        .filter(dead_letters::topic.eq(topic))
        .filter(dead_letters::key.eq(key))
}

fn read_headers(headers: serde_json::Value) -> Vec<(String, String)> {
    serde_json::from_value(headers).unwrap_or_default() // the consumer wrote them as such a list
}

/// Counts dead letters and parked keys, each up to [`COUNTED`], and sets the gauges.
pub(crate) async fn measure(conn: &mut AsyncPgConnection, consumer: &str) -> QueryResult<Measured> {
    let measured: Measured = Count { consumer, most: COUNTED }.get_result(conn).await?;
    metrics::gauge!("consumer_dead_letters").set(measured.letters as f64);
    metrics::gauge!("consumer_parked_keys").set(measured.keys as f64);
    Ok(measured)
}

crate::prepared! {
    struct Count<'a> { consumer: &'a str as Text, most: i64 as BigInt } -> Untyped;
    "select (select count(*) from (select from dead_letters where consumer = $1 limit $2) counted) as letters, \
            (select count(*) from (select from parked_keys where consumer = $1 limit $2) counted) as keys"
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, QueryableByName)]
pub(crate) struct Measured {
    #[diesel(sql_type = BigInt)]
    pub letters: i64,
    #[diesel(sql_type = BigInt)]
    pub keys: i64,
}
