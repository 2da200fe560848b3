//! Answers that were given under an `Idempotency-Key`, so that a retried POST gets the first one again.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::once::{Claim, Once};

use crate::schema::idempotency_keys;

/// Claims the key for this transaction, and tells the body, byte for byte, that was answered under it.
///
/// # Errors
/// What the database says.
pub async fn claim(conn: &mut AsyncPgConnection, once: &Once) -> QueryResult<Claim<Vec<u8>>> {
    if !once.lock(conn).await? {
        return Ok(Claim::InFlight);
    }
    let columns = (idempotency_keys::request, idempotency_keys::body);
    Ok(once.compared(idempotency_keys::table.find(&once.key).select(columns).first(conn).await.optional()?))
}

/// Keeps the answer under its key.
///
/// # Errors
/// What the database says.
pub async fn keep(conn: &mut AsyncPgConnection, once: &Once, body: &[u8]) -> QueryResult<()> {
    let row = (
        idempotency_keys::key.eq(&once.key),
        idempotency_keys::request.eq(&once.request),
        idempotency_keys::body.eq(body),
    );
    diesel::insert_into(idempotency_keys::table).values(row).execute(conn).await.map(drop)
}

/// Forgets at most `limit` answers that were given before `before`; says how many.
///
/// # Errors
/// What the database says.
pub async fn forget(conn: &mut AsyncPgConnection, before: DateTime<Utc>, limit: i64) -> QueryResult<usize> {
    let old = "delete from idempotency_keys where key in \
               (select key from idempotency_keys where created_at < $1 order by created_at limit $2)";
    sql_query(old).bind::<Timestamptz, _>(before).bind::<BigInt, _>(limit).execute(conn).await
}
