use diesel_async::AsyncPgConnection;
use service_kit::consumer::{DeadLetterCopy, DeadLetterSink, ReactionError};

use crate::{NewRow, append};

/// Appends the copies of a service's dead letters to its outbox, so that they leave as everything that it says does.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetters;

impl DeadLetterSink for DeadLetters {
    async fn dead_letter(&self, conn: &mut AsyncPgConnection, copy: DeadLetterCopy) -> Result<(), ReactionError> {
        let DeadLetterCopy { id, topic, key, headers, value } = copy;
        Ok(append(conn, NewRow { event_id: id, topic, key, headers, payload: value }).await?)
    }
}
