use outbox_relay::AppendError;
use service_kit::consumer::ReactionError;

/// Why a change and its events could not be written.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
    /// The event is too large for its topic, or can't be written.
    #[error("the event can't be said: {0}")]
    Unsayable(String),
}

impl From<AppendError> for AnnounceError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Database(error) => Self::Database(error),
            too_large @ AppendError::TooLarge { .. } => Self::Unsayable(too_large.to_string()),
        }
    }
}

impl From<serde_json::Error> for AnnounceError {
    fn from(error: serde_json::Error) -> Self {
        Self::Unsayable(error.to_string())
    }
}

impl From<AnnounceError> for ReactionError {
    fn from(error: AnnounceError) -> Self {
        match error {
            AnnounceError::Database(error) => error.into(),
            unsayable @ AnnounceError::Unsayable(_) => Self::permanent(unsayable),
        }
    }
}
