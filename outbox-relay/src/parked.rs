//! Parked rows, for operators: listing them, and asking that they be published or dropped.
//!
//! These functions only note what an operator wants. The leading relay does it at its next upkeep, so that the order of a
//! key stays in one hand.

use chrono::{DateTime, Utc};
use diesel::result::QueryResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::sql;

/// A row that the broker refused, or that waits behind such a row of its key.
#[derive(Clone, Debug, PartialEq, Eq, diesel::Queryable)]
pub struct ParkedRow {
    /// The id that it had in `outbox`.
    pub id: i64,
    /// The event's id.
    pub event_id: uuid::Uuid,
    /// The topic that it goes to.
    pub topic: String,
    /// The record's key.
    pub key: String,
    /// When it was appended.
    pub created_at: DateTime<Utc>,
    /// When it was parked.
    pub parked_at: DateTime<Utc>,
    /// Why the broker refused it; none when it waits behind another row.
    pub reason: Option<String>,
    /// What an operator asked for and the relay has not done yet: `retry` or `discard`.
    pub asked: Option<String>,
}

/// At most `limit` parked rows in id order, beginning after the id `after` (0 for the first).
///
/// # Errors
/// The database doesn't answer, or the role may not read `outbox_parked`.
pub async fn list(conn: &mut AsyncPgConnection, after: i64, limit: i64) -> QueryResult<Vec<ParkedRow>> {
    sql::List { after, limit }.load(conn).await
}

/// Asks that the parked rows of a key be published again, in id order, before any later row of the key. Returns their
/// number.
///
/// # Errors
/// The database doesn't answer, or the role may not update `outbox_parked`.
pub async fn retry(conn: &mut AsyncPgConnection, topic: &str, key: &str) -> QueryResult<usize> {
    sql::Retry { topic: topic.to_owned(), key: key.to_owned() }.execute(conn).await
}

/// Asks that one parked row be dropped for good. The rows that wait behind it are then published. Returns whether there is
/// such a row.
///
/// # Errors
/// The database doesn't answer, or the role may not update `outbox_parked`.
pub async fn discard(conn: &mut AsyncPgConnection, id: i64) -> QueryResult<bool> {
    Ok(sql::Discard { id }.execute(conn).await? == 1)
}
