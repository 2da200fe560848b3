use diesel_async::AsyncPgConnection;
use service_kit::idempotency::{IdempotencyClaim, IdempotentRequest};

use super::CommandError;
use crate::store::answers;

/// What was answered to the same request before, if it has a key and was. Otherwise the key is this transaction's.
pub(super) async fn answered(
    conn: &mut AsyncPgConnection,
    once: Option<&IdempotentRequest>,
) -> Result<Option<Vec<u8>>, CommandError> {
    let Some(once) = once else { return Ok(None) };
    match answers::claim(conn, once).await? {
        IdempotencyClaim::New => Ok(None),
        IdempotencyClaim::Answered(body) => Ok(Some(body)),
        IdempotencyClaim::OtherRequest => Err(CommandError::OtherRequest),
        IdempotencyClaim::InFlight => Err(CommandError::InFlight),
    }
}

/// Keeps the answer with what was done, if the request has a key.
pub(super) async fn keep(
    conn: &mut AsyncPgConnection,
    once: Option<&IdempotentRequest>,
    body: &[u8],
) -> Result<(), CommandError> {
    match once {
        Some(once) => Ok(answers::keep(conn, once, body).await?),
        None => Ok(()),
    }
}
