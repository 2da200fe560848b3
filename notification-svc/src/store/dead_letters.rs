//! Copies of dead letters leave as everything that this service says does: through the outbox.

use diesel_async::AsyncPgConnection;
use outbox_relay::{NewRow, append};
use service_kit::consumer::{DeadLetterCopy, DeadLetterSink, ReactionError};

/// Appends copies of dead letters to the outbox.
#[derive(Clone, Copy, Debug)]
pub struct DeadLettersToOutbox;

impl DeadLetterSink for DeadLettersToOutbox {
    async fn dead_letter(&self, conn: &mut AsyncPgConnection, copy: DeadLetterCopy) -> Result<(), ReactionError> {
        let DeadLetterCopy { id, topic, key, headers, value } = copy;
        let row = NewRow { event_id: id, topic, key, headers, payload: value };
        append(conn, row).await.map_err(|error| match error {
            outbox_relay::AppendError::Database(error) => error.into(),
            too_large => ReactionError::permanent(too_large),
        })
    }
}
