use diesel_async::AsyncPgConnection;
use service_kit::idempotency::{IdempotencyClaim, IdempotentRequest};

use super::CommandError;
use crate::store::stored_responses;

/// The response that was given to the same request before, if there is one. Otherwise the key, if any, is claimed for
/// this transaction.
pub(super) async fn answered(
    conn: &mut AsyncPgConnection,
    idempotency: Option<&IdempotentRequest>,
) -> Result<Option<Vec<u8>>, CommandError> {
    let Some(idempotency) = idempotency else { return Ok(None) };
    match stored_responses::claim(conn, idempotency).await? {
        IdempotencyClaim::New => Ok(None),
        IdempotencyClaim::Answered(body) => Ok(Some(body)),
        IdempotencyClaim::OtherRequest => Err(CommandError::OtherRequest),
        IdempotencyClaim::InFlight => Err(CommandError::InFlight),
    }
}

/// Stores the response in the transaction of the change, if the request has a key.
pub(super) async fn keep(
    conn: &mut AsyncPgConnection,
    idempotency: Option<&IdempotentRequest>,
    body: &[u8],
) -> Result<(), CommandError> {
    match idempotency {
        Some(idempotency) => Ok(stored_responses::keep(conn, idempotency, body).await?),
        None => Ok(()),
    }
}
