//! Copies of dead letters go through the outbox, as all events do.

use diesel_async::AsyncPgConnection;
use outbox_relay::{NewRow, append};
use service_kit::consumer::{DeadLetterCopy, DeadLetterSink, ReactionError};

#[derive(Clone, Copy, Debug)]
pub struct DeadLetters;

impl DeadLetterSink for DeadLetters {
    async fn dead_letter(&self, conn: &mut AsyncPgConnection, copy: DeadLetterCopy) -> Result<(), ReactionError> {
        let DeadLetterCopy { id, topic, key, headers, value } = copy;
        Ok(append(conn, NewRow { event_id: id, topic, key, headers, payload: value }).await?)
    }
}
