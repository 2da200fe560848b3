//! Answers that were given under an `Idempotency-Key`, so that a retried POST gets the first one again.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::idempotency::{IdempotencyClaim, IdempotentRequest};
use shared_events::OrderId;

use crate::schema::idempotency_keys;

/// A 202 as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The header `Location`.
    pub location: String,
    /// The body, byte for byte.
    pub body: Vec<u8>,
}

/// Claims the key for this transaction, and tells what was answered under it.
pub async fn claim(conn: &mut AsyncPgConnection, once: &IdempotentRequest) -> QueryResult<IdempotencyClaim<Answer>> {
    if !once.lock(conn).await? {
        return Ok(IdempotencyClaim::InFlight);
    }
    let columns = (idempotency_keys::request, idempotency_keys::location, idempotency_keys::body);
    let kept = idempotency_keys::table.find(&once.key).select(columns).first(conn).await.optional()?;
    Ok(once.compared(kept.map(|(request, location, body)| (request, Answer { location, body }))))
}

/// Keeps the answer under its key.
pub async fn keep(
    conn: &mut AsyncPgConnection,
    once: &IdempotentRequest,
    order_id: OrderId,
    answer: &Answer,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::key.eq(&once.key),
            idempotency_keys::request.eq(&once.request),
            idempotency_keys::order_id.eq(order_id.0),
            idempotency_keys::location.eq(&answer.location),
            idempotency_keys::body.eq(&answer.body),
            idempotency_keys::created_at.eq(now),
        ))
        .execute(conn)
        .await
        .map(drop)
}
