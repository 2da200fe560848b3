//! Dead letters: events that could not be handled, and later events of the same keys that are stored behind them.
//!
//! A person looks at them, fixes the cause and asks for a replay, or discards them. The service's own consumer
//! carries out the replay, since it knows the reactions: in order, one event a transaction, until the key's queue is
//! empty or an event fails again.

mod replay;

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use uuid::Uuid;

use crate::schema::{dead_letters, parked_keys};

pub(crate) use replay::carry_out;

/// The gauges stop counting here.
const COUNTED: i64 = 10_000;

/// A stored event: one that failed, or one that waits behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Queryable, Selectable)]
#[diesel(table_name = dead_letters)]
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
    pub record_offset: i64,
    /// The record's key.
    pub key: String,
    /// `ce_id`, if it has one.
    pub event_id: Option<Uuid>,
    /// `ce_type`, if it has one.
    pub event_type: Option<String>,
    /// Why it failed; none if it only waits behind another of its key.
    pub error: Option<String>,
    /// How often it was tried.
    pub attempts: i32,
    /// When it became a dead letter, by database time.
    pub buried_at: DateTime<Utc>,
    /// When a replay was asked for that is not finished.
    pub replay_requested_at: Option<DateTime<Utc>>,
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
    dead_letters::table
        .filter(dead_letters::id.gt(after))
        .order(dead_letters::id)
        .limit(limit)
        .select(DeadLetter::as_select())
        .load(conn)
        .await
}

/// Reads a dead letter with its content.
///
/// # Errors
/// Fails if the query fails.
pub async fn get(conn: &mut AsyncPgConnection, id: i64) -> QueryResult<Option<WholeDeadLetter>> {
    let found: Option<(DeadLetter, serde_json::Value, Option<Vec<u8>>)> = dead_letters::table
        .find(id)
        .select((DeadLetter::as_select(), dead_letters::headers, dead_letters::value))
        .first(conn)
        .await
        .optional()?;
    Ok(found.map(|(letter, headers, value)| WholeDeadLetter { letter, headers: read_headers(headers), value }))
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

/// Deletes a dead letter for good. What waits behind it stays until it is replayed. Discarding the last one unparks
/// the key. Returns false if there is no such dead letter.
///
/// # Errors
/// Fails if a statement fails; nothing is deleted then.
pub async fn discard(conn: &mut AsyncPgConnection, id: i64) -> QueryResult<bool> {
    conn.transaction(async |conn| {
        let Some((consumer, topic, key)) = queue_of(conn, id).await? else { return Ok(false) };
        hold(conn, &consumer, &topic, &key).await?;
        let gone = diesel::delete(dead_letters::table.find(id)).execute(conn).await?;
        free_if_empty(conn, &consumer, &topic, &key).await?;
        Ok(gone == 1)
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

async fn free_if_empty(conn: &mut AsyncPgConnection, consumer: &str, topic: &str, key: &str) -> QueryResult<()> {
    let more: bool = diesel::select(exists(of_key(consumer, topic, key))).get_result(conn).await?;
    if !more {
        diesel::delete(parked_keys::table.find((consumer, topic, key))).execute(conn).await?;
    }
    Ok(())
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
    let measured: Measured = diesel::sql_query(
        "select (select count(*) from (select from dead_letters where consumer = $1 limit $2) counted) as letters, \
                (select count(*) from (select from parked_keys where consumer = $1 limit $2) counted) as keys",
    )
    .bind::<Text, _>(consumer)
    .bind::<BigInt, _>(COUNTED)
    .get_result(conn)
    .await?;
    metrics::gauge!("consumer_dead_letters").set(measured.letters as f64);
    metrics::gauge!("consumer_parked_keys").set(measured.keys as f64);
    Ok(measured)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, QueryableByName)]
pub(crate) struct Measured {
    #[diesel(sql_type = BigInt)]
    pub letters: i64,
    #[diesel(sql_type = BigInt)]
    pub keys: i64,
}
