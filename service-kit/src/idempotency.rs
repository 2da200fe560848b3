//! Requests with an `Idempotency-Key`: each has one effect, however often it is sent. The key and the response commit
//! with the change, in the service's table `idempotency_keys`.

use std::time::Duration;

use diesel::define_sql_function;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{Array, BigInt, Jsonb, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::future::join;
use serde_json::Value;
use uuid::Uuid;

use crate::housekeeping::TimeToLive;

diesel::table! {
    /// What every service's table has; a service may store more of a response.
    idempotency_keys (key) {
        /// The `Idempotency-Key`.
        key -> Text,
        /// SHA-256 of the request.
        request -> Binary,
        /// The response.
        body -> Binary,
        /// The order that the response tells of, if it tells of one.
        order_id -> Nullable<Uuid>,
    }
}

/// How long a response is stored for a request that is sent again.
const STORED: Duration = Duration::from_secs(24 * 60 * 60);

/// The rule by which housekeeping deletes stored responses.
pub const fn time_to_live() -> TimeToLive {
    TimeToLive::new("idempotency_keys", "key", "created_at", STORED)
}

/// A request that must have one effect, however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// The `Idempotency-Key`.
    pub key: String,
    /// SHA-256 of the request. It is a hash because a request may hold a name and an address.
    pub request: Vec<u8>,
}

/// What a request is answered, once and whenever it is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// JSON.
    pub body: Vec<u8>,
    /// The order that it tells of, by which [`redact`] finds it.
    pub order_id: Option<Uuid>,
}

/// Why a request has no effect under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    /// Another request was answered under this key.
    #[error("the Idempotency-Key was used for another request")]
    OtherRequest,
    /// Another request under this key is in progress.
    #[error("a request with this Idempotency-Key is in progress")]
    InFlight,
}

define_sql_function! {
    /// Takes the lock until the transaction ends, if it is free. Returns whether it was.
    fn pg_try_advisory_xact_lock(lock: BigInt) -> Bool;
}
define_sql_function! {
    /// A 64-bit hash of a text.
    fn hashtextextended(text: Text, seed: BigInt) -> BigInt;
}

impl IdempotentRequest {
    /// Claims the key for this transaction, and returns the response that was given to the same request before, if any.
    /// It tries a lock that ends with the transaction, so nobody waits for another's request, and whoever gets the lock
    /// next sees what its last holder wrote. This needs `read committed`, PostgreSQL's default. `stored` reads the
    /// request and the response under the key.
    ///
    /// # Errors
    /// Fails if a statement fails.
    pub async fn claim<Answer>(
        &self,
        mut conn: &AsyncPgConnection,
        stored: impl Future<Output = QueryResult<(Vec<u8>, Answer)>>,
    ) -> QueryResult<Result<Option<Answer>, KeyRefused>> {
        let lock = hashtextextended(format!("idempotency-key {}", self.key), 0);
        let lock = diesel::select(pg_try_advisory_xact_lock(lock)).get_result(&mut conn);
        // In this order: a request that had the key before has left its response by the time the lock is free.
        let (free, stored): (QueryResult<bool>, _) = join(lock, stored).await;
        Ok(match (free?, stored.optional()?) {
            (false, _) => Err(KeyRefused::InFlight),
            (true, None) => Ok(None),
            (true, Some((request, answer))) if request == self.request => Ok(Some(answer)),
            (true, Some(_)) => Err(KeyRefused::OtherRequest),
        })
    }
}

/// Does `work` in the caller's transaction and stores the response that it returns, or returns the body that was stored for
/// the same request before. A request without a key is always worked on.
///
/// # Errors
/// Fails if the key is refused, a statement fails, or `work` fails.
pub async fn once<E: From<Error> + From<KeyRefused>>(
    conn: &mut AsyncPgConnection,
    request: Option<&IdempotentRequest>,
    work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<Response, E>,
) -> Result<Vec<u8>, E> {
    use idempotency_keys::dsl;
    let Some(idempotent @ IdempotentRequest { key, request }) = request else { return Ok(work(conn).await?.body) };
    let mut reading = &*conn;
    let stored = dsl::idempotency_keys.find(key).select((dsl::request, dsl::body)).first(&mut reading);
    if let Some(body) = idempotent.claim(conn, stored).await?? {
        return Ok(body);
    }
    let Response { body, order_id } = work(conn).await?;
    let row = (dsl::key.eq(key), dsl::request.eq(request), dsl::body.eq(&body), dsl::order_id.eq(order_id));
    diesel::insert_into(dsl::idempotency_keys).values(row).execute(conn).await?;
    Ok(body)
}

/// Overwrites these fields of the responses that tell of these orders, because their customer is forgotten.
///
/// # Errors
/// Fails if the statement fails.
pub async fn redact(mut conn: &AsyncPgConnection, orders: &[Uuid], fields: &Value) -> QueryResult<()> {
    if orders.is_empty() {
        return Ok(());
    }
    Redact { fields, orders }.execute(&mut conn).await.map(drop)
}

crate::prepared! {
    struct Redact<'a> { fields: &'a Value as Jsonb, orders: &'a [Uuid] as Array<SqlUuid> };
    "update idempotency_keys set body = convert_to((convert_from(body, 'UTF8')::jsonb || ?)::text, 'UTF8') \
     where order_id = any(?)"
}
