use diesel_async::AsyncPgConnection;
use outbox_relay::NewRow;
use service_kit::consumer::{DeadLetterCopy, DeadLetterSink, ReactionError};

use super::AnnounceError;

/// Sends copies of dead letters on to `order-svc.dlq`, through the outbox.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetters;

impl DeadLetterSink for DeadLetters {
    async fn dead_letter(&self, conn: &mut AsyncPgConnection, copy: DeadLetterCopy) -> Result<(), ReactionError> {
        let DeadLetterCopy { id, topic, key, headers, value } = copy;
        let row = NewRow { event_id: id, topic, key, headers, payload: value };
        Ok(outbox_relay::append(conn, row).await.map_err(AnnounceError::from)?)
    }
}
