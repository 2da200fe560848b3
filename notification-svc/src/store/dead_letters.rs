//! Copies of dead letters leave as everything that this service says does: through the outbox.

use diesel_async::AsyncPgConnection;
use outbox_relay::{NewRow, append};
use service_kit::consumer::{DeadLetterCopy, DeadLetterSink, ReactionError};

/// Appends copies of dead letters to the outbox.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetters;

impl DeadLetterSink for DeadLetters {
    async fn dead_letter(&self, conn: &mut AsyncPgConnection, copy: DeadLetterCopy) -> Result<(), ReactionError> {
        let DeadLetterCopy { id, topic, key, headers, value } = copy;
        Ok(append(conn, NewRow { event_id: id, topic, key, headers, payload: value }).await?)
    }
}
