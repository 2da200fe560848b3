//! What a request fails by that is nobody's fault who sends it.

use diesel_async::pooled_connection::deadpool::PoolError;
use service_kit::http::Problem;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("no database connection: {0}")]
    Pool(#[from] PoolError),
    #[error("the database: {0}")]
    Database(#[from] diesel::result::Error),
    #[error("too many passwords are being checked")]
    Busy,
    #[error("{0}")]
    Internal(String),
}

impl Failure {
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self::Internal(cause.to_string())
    }

    /// Whether the same request may succeed later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Pool(_) | Self::Busy => true,
            Self::Database(error) => service_kit::pool::may_pass(error),
            Self::Internal(_) => false,
        }
    }
}

impl From<jsonwebtoken::errors::Error> for Failure {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        Self::internal(format!("signing: {error}"))
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Pool(error) => error.into(),
            Failure::Database(error) => error.into(),
            Failure::Busy => Self::unavailable("Too many passwords are being checked."),
            Failure::Internal(cause) => Self::internal(cause),
        }
    }
}
