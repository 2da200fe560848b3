//! Timers: what is to happen at a moment, unless it is cancelled before.
//!
//! The clock is the database's. A timer fires only when the service has heard everything up to its due time, so that
//! an outage of one's own, or of the broker, doesn't fire them all.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::schema::timers;

/// Sets the timer of this kind for `key`, or moves it. In the transaction that holds the key's root row.
///
/// # Errors
/// The database's.
pub async fn set(conn: &mut AsyncPgConnection, kind: &str, key: &str, due_at: DateTime<Utc>) -> QueryResult<()> {
    let again = (timers::due_at.eq(due_at), timers::attempts.eq(0), timers::not_before.eq(DateTime::<Utc>::UNIX_EPOCH));
    diesel::insert_into(timers::table)
        .values((timers::kind.eq(kind), timers::key.eq(key), again))
        .on_conflict((timers::kind, timers::key))
        .do_update()
        .set(again)
        .execute(conn)
        .await
        .map(drop)
}

/// Cancels the timer of this kind for `key`; there may be none.
///
/// # Errors
/// The database's.
pub async fn cancel(conn: &mut AsyncPgConnection, kind: &str, key: &str) -> QueryResult<()> {
    diesel::delete(timers::table.find((kind, key))).execute(conn).await.map(drop)
}
