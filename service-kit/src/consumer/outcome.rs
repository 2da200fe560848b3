//! What became of an event.

use std::{borrow::Cow, fmt};

/// Why an event changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The service doesn't react to this type, or not to this event.
    NotForUs,
    /// A newer fact of the same key is known already.
    Stale,
    /// The state machine doesn't allow it now; the events may have raced.
    Refused(Cow<'static, str>),
}

impl Why {
    /// A refusal, with its reason.
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

/// What a reaction reports about an event that it handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It changed something.
    Applied,
    /// Its effect had been applied before.
    Duplicate,
    /// It changed nothing.
    Ignored(Why),
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reaction applied it.
    Applied,
    /// The inbox or the reaction had seen it before.
    Duplicate,
    /// The reaction saw no need to act.
    Ignored(Why),
    /// This build doesn't know its type, or it is a tombstone of a compacted topic.
    Skipped,
    /// It can't be handled, for this reason: it is a dead letter now, and its key is parked.
    DeadLettered(String),
    /// It is stored behind an earlier event of its key that is a dead letter.
    QueuedBehind,
}

impl Outcome {
    /// Whether it may have written to the outbox.
    pub(crate) fn wrote(&self) -> bool {
        matches!(self, Self::Applied | Self::DeadLettered(_))
    }

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
