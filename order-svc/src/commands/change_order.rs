use diesel_async::pooled_connection::deadpool::PoolError;

use crate::domain::Refused;
use crate::store::AnnounceError;

/// Why an order stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum ChangeOrderError {
    /// There is none of that id.
    #[error("there is no such order")]
    NotFound,
    /// It came too late.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No connection.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The change, or what it says, could not be written.
    #[error(transparent)]
    Announce(#[from] AnnounceError),
}

impl From<diesel::result::Error> for ChangeOrderError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Announce(error.into())
    }
}
