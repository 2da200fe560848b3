//! Why a reaction failed: for a reason that may pass, or permanently.

use std::fmt;

use diesel::result::Error as DieselError;

use crate::pool::may_pass;

/// Why an event could not be handled.
#[derive(Debug)]
pub enum ReactionError {
    /// May pass (database unreachable, serialization failure, deadlock, lock timeout). The lane retries in place and
    /// the partition waits.
    Transient(anyhow::Error),
    /// Won't pass. The event becomes a dead letter and parks its key.
    Permanent(anyhow::Error),
}

impl ReactionError {
    /// Wraps a failure that may pass.
    pub fn transient(error: impl Into<anyhow::Error>) -> Self {
        Self::Transient(error.into())
    }

    /// Wraps a failure that won't pass.
    pub fn permanent(error: impl Into<anyhow::Error>) -> Self {
        Self::Permanent(error.into())
    }
}

impl fmt::Display for ReactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transient(error) => write!(f, "may pass: {error:#}"),
            Self::Permanent(error) => write!(f, "won't pass: {error:#}"),
        }
    }
}

impl std::error::Error for ReactionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let (Self::Transient(error) | Self::Permanent(error)) = self;
        Some(error.as_ref())
    }
}

impl From<DieselError> for ReactionError {
    fn from(error: DieselError) -> Self {
        if may_pass(&error) { Self::Transient(error.into()) } else { Self::Permanent(error.into()) }
    }
}

impl From<diesel_async::pooled_connection::deadpool::PoolError> for ReactionError {
    fn from(error: diesel_async::pooled_connection::deadpool::PoolError) -> Self {
        Self::Transient(error.into())
    }
}

#[cfg(test)]
mod tests {
    use diesel::result::DatabaseErrorKind;

    use super::*;

    fn database(kind: DatabaseErrorKind, message: &str) -> ReactionError {
        DieselError::DatabaseError(kind, Box::new(message.to_owned())).into()
    }

    #[test]
    fn what_waiting_helps_against_is_transient() {
        for message in [
            "deadlock detected",
            "canceling statement due to lock timeout",
            "terminating connection due to administrator command",
            "the database system is starting up",
        ] {
            assert!(matches!(database(DatabaseErrorKind::Unknown, message), ReactionError::Transient(_)), "{message}");
        }
        assert!(matches!(database(DatabaseErrorKind::SerializationFailure, ""), ReactionError::Transient(_)));
    }

    #[test]
    fn what_the_data_caused_is_permanent() {
        assert!(matches!(database(DatabaseErrorKind::CheckViolation, ""), ReactionError::Permanent(_)));
        assert!(matches!(database(DatabaseErrorKind::Unknown, "integer out of range"), ReactionError::Permanent(_)));
        assert!(matches!(DieselError::NotFound.into(), ReactionError::Permanent(_)));
    }
}
