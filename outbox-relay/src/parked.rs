//! Parked rows, for operators: what waits, and asking for it to be published or dropped.
//!
//! Nothing here touches the order of a key: what is asked for is done by the leading relay, within its next upkeep.

use chrono::{DateTime, Utc};
use diesel::result::QueryResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::sql;

/// A row that was refused, or waits behind one of its key.
#[derive(Clone, Debug, PartialEq, Eq, diesel::Queryable)]
pub struct ParkedRow {
    /// Its place in the order of append.
    pub id: i64,
    /// The event in it.
    pub event_id: uuid::Uuid,
    /// Where it goes.
    pub topic: String,
    /// What orders it.
    pub key: String,
    /// When it was appended.
    pub created_at: DateTime<Utc>,
    /// When it was parked.
    pub parked_at: DateTime<Utc>,
    /// Why it was refused; none when it waits behind another.
    pub reason: Option<String>,
    /// What was asked for it and is not done yet: `retry` or `discard`.
    pub asked: Option<String>,
}

/// Parked rows in id order, from the one after `after` (0 for the first).
///
/// # Errors
/// The database fails.
pub async fn list(conn: &mut AsyncPgConnection, after: i64, limit: i64) -> QueryResult<Vec<ParkedRow>> {
    sql::List { after, limit }.load(conn).await
}

/// Asks that the parked rows of a key be published again, in id order, before any later row of the key. Says how many
/// rows that is.
///
/// # Errors
/// The database fails.
pub async fn retry(conn: &mut AsyncPgConnection, topic: &str, key: &str) -> QueryResult<usize> {
    sql::Retry { topic: topic.to_owned(), key: key.to_owned() }.execute(conn).await
}

/// Asks that one parked row be dropped for good. The rows that wait behind it are then published. Says whether there is
/// such a row.
///
/// # Errors
/// The database fails.
pub async fn discard(conn: &mut AsyncPgConnection, id: i64) -> QueryResult<bool> {
    Ok(sql::Discard { id }.execute(conn).await? == 1)
}
