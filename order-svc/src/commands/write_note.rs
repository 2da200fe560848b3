use diesel_async::pooled_connection::deadpool::PoolError;
use service_kit::Pool;
use service_kit::idempotency::{IdempotentRequest, KeyRefused};
use shared_events::OrderId;

use crate::domain::NoteText;
use crate::store::{self, notes::Note};

#[derive(Debug, thiserror::Error)]
pub enum WriteNoteError {
    #[error("there is no such order")]
    NotFound,
    /// A note may name the person.
    #[error("its customer is forgotten, so nothing is written down about it any more")]
    Forgotten,
    #[error(transparent)]
    Key(#[from] KeyRefused),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// Writes down what staff have to say about an order, once under each key. It is one statement, which commits by itself: nothing is
/// announced.
pub async fn write_note(
    pool: &Pool,
    id: OrderId,
    author: Option<&str>,
    text: &NoteText,
    idempotency: Option<&IdempotentRequest>,
) -> Result<Note, WriteNoteError> {
    let conn = pool.get().await?;
    if let Some(note) = store::notes::write(&conn, id, author, text, idempotency).await? {
        return Ok(note);
    }
    // whoever was first with the key has committed
    if let Some(sent) = idempotency
        && let Some(answered) = store::notes::sent_before(&conn, sent).await?
    {
        return Ok(answered?);
    }
    let forgotten = store::forgetting::is_forgotten(&conn, id).await?;
    Err(if forgotten { WriteNoteError::Forgotten } else { WriteNoteError::NotFound })
}
