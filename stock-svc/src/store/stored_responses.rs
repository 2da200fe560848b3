//! Responses that are stored under an `Idempotency-Key`, so that a repeated POST gets the first response again.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::idempotency::{IdempotencyClaim, IdempotentRequest};

use crate::schema::idempotency_keys;

/// Claims the key for this transaction, and returns the response, byte for byte, that is stored under it.
pub async fn claim(
    conn: &mut AsyncPgConnection,
    idempotency: &IdempotentRequest,
) -> QueryResult<IdempotencyClaim<Vec<u8>>> {
    if !idempotency.lock(conn).await? {
        return Ok(IdempotencyClaim::InFlight);
    }
    let columns = (idempotency_keys::request, idempotency_keys::body);
    Ok(idempotency
        .compared(idempotency_keys::table.find(&idempotency.key).select(columns).first(conn).await.optional()?))
}

/// Stores the response under its key.
pub async fn keep(conn: &mut AsyncPgConnection, idempotency: &IdempotentRequest, body: &[u8]) -> QueryResult<()> {
    let row = (
        idempotency_keys::key.eq(&idempotency.key),
        idempotency_keys::request.eq(&idempotency.request),
        idempotency_keys::body.eq(body),
    );
    diesel::insert_into(idempotency_keys::table).values(row).execute(conn).await.map(drop)
}
