//! Responses that are stored under an `Idempotency-Key`, so that a repeated POST gets the first response again.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::idempotency::{IdempotencyClaim, IdempotentRequest};
use shared_events::RefundId;

use crate::schema::idempotency_keys;

/// Claims the key for this transaction, and tells the body, byte for byte, that was answered under it.
pub async fn claim(conn: &mut AsyncPgConnection, once: &IdempotentRequest) -> QueryResult<IdempotencyClaim<Vec<u8>>> {
    if !once.lock(conn).await? {
        return Ok(IdempotencyClaim::InFlight);
    }
    let columns = (idempotency_keys::request, idempotency_keys::body);
    Ok(once.compared(idempotency_keys::table.find(&once.key).select(columns).first(conn).await.optional()?))
}

/// Keeps the answer under its key.
pub async fn keep(
    conn: &mut AsyncPgConnection,
    once: &IdempotentRequest,
    refund: RefundId,
    body: &[u8],
) -> QueryResult<()> {
    let row = (
        idempotency_keys::key.eq(&once.key),
        idempotency_keys::request.eq(&once.request),
        idempotency_keys::refund_id.eq(refund.0),
        idempotency_keys::body.eq(body),
    );
    diesel::insert_into(idempotency_keys::table).values(row).execute(conn).await.map(drop)
}
