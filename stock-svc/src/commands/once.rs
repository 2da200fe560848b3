use diesel_async::AsyncPgConnection;
use service_kit::idempotency::{IdempotencyClaim, IdempotentRequest};

use super::CommandError;
use crate::store::answers;

/// The response that was given to the same request before, if there is one. Otherwise the key, if any, is claimed for
/// this transaction.
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

/// Stores the response in the transaction of the change, if the request has a key.
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
