use chrono::{DateTime, Utc};
use shared_events::{CancelReason, StockLine};

/// What is put aside for one order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reservation {
    /// Where it stands.
    pub state: State,
    /// What was ordered; a SKU stands once. Empty in a tombstone, which never learnt it.
    pub lines: Vec<StockLine>,
}

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// All lines are held. Only the timer ends it by time, so a late `confirmed` still finds it.
    Held {
        /// When the timer ends it.
        expires_at: DateTime<Utc>,
    },
    /// Firm: the pieces are no longer on hand.
    Committed,
    /// The pieces came back after it was firm.
    Restocked,
    /// Nothing is held any more; said for good.
    Released {
        /// Why.
        reason: CancelReason,
    },
    /// Ended by time. `confirmed` may still hold again; whoever cancels gets its `released`.
    Expired,
    /// Never held: a line was short.
    RejectedShortages,
    /// Expired, and short when it was to be held again.
    RejectedExpired,
    /// Undone before it was heard of: a later `placed` holds nothing.
    Tombstone {
        /// Why it was undone.
        reason: CancelReason,
    },
}

impl State {
    /// For tables, refusals and people.
    pub const fn name(self) -> &'static str {
        match self {
            State::Held { .. } => "held",
            State::Committed => "committed",
            State::Restocked => "restocked",
            State::Released { .. } => "released",
            State::Expired => "expired",
            State::RejectedShortages => "rejected_shortages",
            State::RejectedExpired => "rejected_expired",
            State::Tombstone { .. } => "tombstone",
        }
    }

    /// The state of that name with what else its columns say; nothing when they don't fit together.
    pub fn from_columns(name: &str, expires_at: Option<DateTime<Utc>>, reason: Option<CancelReason>) -> Option<State> {
        Some(match (name, expires_at, reason) {
            ("held", Some(expires_at), _) => State::Held { expires_at },
            ("committed", ..) => State::Committed,
            ("restocked", ..) => State::Restocked,
            ("released", _, Some(reason)) => State::Released { reason },
            ("expired", ..) => State::Expired,
            ("rejected_shortages", ..) => State::RejectedShortages,
            ("rejected_expired", ..) => State::RejectedExpired,
            ("tombstone", _, Some(reason)) => State::Tombstone { reason },
            _ => return None,
        })
    }

    /// When the hold ends by itself, while it is held.
    pub const fn expires_at(self) -> Option<DateTime<Utc>> {
        match self {
            State::Held { expires_at } => Some(expires_at),
            _ => None,
        }
    }

    /// Why it was undone, if it was.
    pub const fn release_reason(self) -> Option<CancelReason> {
        match self {
            State::Released { reason } | State::Tombstone { reason } => Some(reason),
            _ => None,
        }
    }

    /// Whether pieces can still move because of it, so that their levels are to be locked with it.
    pub const fn may_move_stock(self) -> bool {
        matches!(self, State::Held { .. } | State::Committed | State::Expired)
    }
}
