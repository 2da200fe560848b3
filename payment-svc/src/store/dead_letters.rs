use diesel_async::AsyncPgConnection;
use outbox_relay::NewRow;
use service_kit::consumer::{DeadLetterCopy, DeadLetterSink, ReactionError};

/// Sends copies of dead letters on to `payment-svc.dlq`, through the outbox.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetters;

impl DeadLetterSink for DeadLetters {
    async fn dead_letter(&self, conn: &mut AsyncPgConnection, copy: DeadLetterCopy) -> Result<(), ReactionError> {
        let DeadLetterCopy { id, topic, key, headers, value } = copy;
        Ok(outbox_relay::append(conn, NewRow { event_id: id, topic, key, headers, payload: value }).await?)
    }
}
