//! What became of an event.

use std::{borrow::Cow, fmt};

/// Why an event changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The service doesn't react to this type.
    NotForUs,
    /// A newer fact of the same key is known already.
    Stale,
    /// The state machine doesn't allow it now, which a race can cause.
    Refused(Cow<'static, str>),
}

impl Why {
    /// A refusal, in words.
    pub fn refused(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused(reason.into())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotForUs => f.write_str("not for us"),
            Self::Stale => f.write_str("stale"),
            Self::Refused(reason) => write!(f, "refused: {reason}"),
        }
    }
}

/// What a reaction says of an event that it handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It changed something, or recorded a fact.
    Applied,
    /// Its effect was there already.
    Duplicate,
    /// It changed nothing.
    Ignored(Why),
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reaction applied it.
    Applied,
    /// The inbox, or the reaction, knew it already.
    Duplicate,
    /// The reaction saw no need to act.
    Ignored(Why),
    /// Its type is not known to this build, or it is a compacted topic's tombstone.
    Skipped,
    /// It can't be handled: it is a dead letter now, and its key is parked. Says why.
    DeadLettered(String),
    /// It waits behind an earlier event of its key.
    QueuedBehind,
}

impl Outcome {
    /// Whether it may have left something in the outbox.
    pub(crate) fn wrote(&self) -> bool {
        matches!(self, Self::Applied | Self::DeadLettered(_))
    }

    /// The metric's label.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Duplicate => "duplicate",
            Self::Ignored(_) => "ignored",
            Self::Skipped => "skipped",
            Self::DeadLettered(_) => "dead_lettered",
            Self::QueuedBehind => "queued_behind",
        }
    }
}

impl From<Handled> for Outcome {
    fn from(handled: Handled) -> Self {
        match handled {
            Handled::Applied => Self::Applied,
            Handled::Duplicate => Self::Duplicate,
            Handled::Ignored(why) => Self::Ignored(why),
        }
    }
}
