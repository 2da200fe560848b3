//! Answers that were given under an `Idempotency-Key`, so that a retried POST gets the first one again.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::idempotency::{IdempotencyClaim, IdempotentRequest};
use shared_events::OrderId;

use crate::schema::idempotency_keys;

/// A 202 as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    /// The header `Location`.
    pub location: String,
    /// The body, byte for byte.
    pub body: Vec<u8>,
}

/// Claims the key for this transaction, and tells what was answered under it.
pub async fn claim(
    conn: &mut AsyncPgConnection,
    idempotency: &IdempotentRequest,
) -> QueryResult<IdempotencyClaim<StoredResponse>> {
    if !idempotency.lock(conn).await? {
        return Ok(IdempotencyClaim::InFlight);
    }
    let columns = (idempotency_keys::request, idempotency_keys::location, idempotency_keys::body);
    let kept = idempotency_keys::table.find(&idempotency.key).select(columns).first(conn).await.optional()?;
    Ok(idempotency.compared(kept.map(|(request, location, body)| (request, StoredResponse { location, body }))))
}

/// Keeps the answer under its key.
pub async fn keep(
    conn: &mut AsyncPgConnection,
    idempotency: &IdempotentRequest,
    order_id: OrderId,
    answer: &StoredResponse,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::key.eq(&idempotency.key),
            idempotency_keys::request.eq(&idempotency.request),
            idempotency_keys::order_id.eq(order_id.0),
            idempotency_keys::location.eq(&answer.location),
            idempotency_keys::body.eq(&answer.body),
            idempotency_keys::created_at.eq(now),
        ))
        .execute(conn)
        .await
        .map(drop)
}
