use diesel_async::pooled_connection::deadpool::PoolError;
use service_kit::Pool;
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
    Pool(#[from] PoolError),
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// Writes down what staff have to say about an order. It is one statement, which commits by itself: nothing is announced.
pub async fn write_note(
    pool: &Pool,
    id: OrderId,
    author: Option<&str>,
    text: &NoteText,
) -> Result<Note, WriteNoteError> {
    let conn = pool.get().await?;
    match store::notes::write(&conn, id, author, text).await? {
        Some(note) => Ok(note),
        None if store::forgetting::is_forgotten(&conn, id).await? => Err(WriteNoteError::Forgotten),
        None => Err(WriteNoteError::NotFound),
    }
}
