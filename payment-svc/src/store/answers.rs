//! Answers that were given under an `Idempotency-Key`, so that a retried POST gets the first one again.

use chrono::{DateTime, Utc};
use diesel::{
    define_sql_function,
    prelude::*,
    sql_query,
    sql_types::{BigInt, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use shared_events::RefundId;

use crate::schema::idempotency_keys;

/// A request that is to have one effect, however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// The `Idempotency-Key`.
    pub key: String,
    /// SHA-256 of what was asked for.
    pub request: Vec<u8>,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: it is ours until the transaction ends.
    New,
    /// The same request was answered: the body, byte for byte.
    Answered(Vec<u8>),
    /// Another request was answered under this key.
    OtherRequest,
    /// A request under this key is being worked on.
    InFlight,
}

define_sql_function! {
    /// Whether the lock was free; it is ours until the transaction ends.
    fn pg_try_advisory_xact_lock(lock: BigInt) -> Bool;
}
define_sql_function! {
    /// A number for a text.
    fn hashtextextended(text: Text, seed: BigInt) -> BigInt;
}

/// Claims the key for this transaction by a try-lock that ends with it: nobody ever waits for another's request, and
/// what the holder wrote can be seen before the lock is free. Needs `read committed`, PostgreSQL's default.
///
/// # Errors
/// The database's.
pub async fn claim(conn: &mut AsyncPgConnection, once: &Once) -> QueryResult<Claim> {
    let lock = hashtextextended(format!("idempotency-key {}", once.key), 0);
    if !diesel::select(pg_try_advisory_xact_lock(lock)).get_result::<bool>(conn).await? {
        return Ok(Claim::InFlight);
    }
    let columns = (idempotency_keys::request, idempotency_keys::body);
    let known: Option<(Vec<u8>, Vec<u8>)> =
        idempotency_keys::table.find(&once.key).select(columns).first(conn).await.optional()?;
    Ok(match known {
        None => Claim::New,
        Some((request, body)) if request == once.request => Claim::Answered(body),
        Some(_) => Claim::OtherRequest,
    })
}

/// Keeps the answer under its key.
///
/// # Errors
/// The database's.
pub async fn keep(conn: &mut AsyncPgConnection, once: &Once, refund: RefundId, body: &[u8]) -> QueryResult<()> {
    let row = (
        idempotency_keys::key.eq(&once.key),
        idempotency_keys::request.eq(&once.request),
        idempotency_keys::refund_id.eq(refund.0),
        idempotency_keys::body.eq(body),
    );
    diesel::insert_into(idempotency_keys::table).values(row).execute(conn).await.map(drop)
}

/// Forgets at most `limit` answers that were given before `before`; says how many.
///
/// # Errors
/// The database's.
pub async fn forget(conn: &mut AsyncPgConnection, before: DateTime<Utc>, limit: i64) -> QueryResult<usize> {
    let old = "delete from idempotency_keys where key in \
               (select key from idempotency_keys where created_at < $1 order by created_at limit $2)";
    sql_query(old).bind::<Timestamptz, _>(before).bind::<BigInt, _>(limit).execute(conn).await
}
