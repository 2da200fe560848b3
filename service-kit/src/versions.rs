//! Versions of what clients change: whoever changes something says which version they have seen.

/// The versions that a change may be made to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whichever there is.
    Any,
    /// Only versions that the client has seen.
    OneOf(Vec<i64>),
}

/// It has another version than the client expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has changed meanwhile: this is version {version}")]
pub struct Changed {
    /// The version it has.
    pub version: i64,
}

impl Expected {
    /// Whether this version is expected.
    ///
    /// # Errors
    /// Fails if it isn't.
    pub fn met_by(&self, version: i64) -> Result<(), Changed> {
        match self {
            Self::OneOf(seen) if !seen.contains(&version) => Err(Changed { version }),
            _ => Ok(()),
        }
    }
}
