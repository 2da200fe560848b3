//! What a reservation consists of. Whether it is committed, released or restocked is decided in `allocation/`.

use chrono::{DateTime, Utc};
use shared_events::{CancelReason, StockLine};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reservation {
    pub state: State,
    /// The ordered lines, each SKU once. Empty in a tombstone, which doesn't know them.
    pub lines: Vec<StockLine>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// All lines are held. Only the timer expires the reservation, so a late `confirmed` still finds it held.
    Held { expires_at: DateTime<Utc> },
    /// Firm: the stock is no longer on hand.
    Committed,
    /// The stock came back after it was committed.
    Restocked,
    /// Nothing is held any more. This is final.
    Released { reason: CancelReason },
    /// Its time is over. `confirmed` may still hold it again; a cancellation still publishes `released`.
    Expired,
    /// Never held, because a line was short.
    RejectedShortages,
    /// Expired, and short when it was to be held again.
    RejectedExpired,
    /// Cancelled before it was known; a later `placed` holds nothing.
    Tombstone { reason: CancelReason },
}

impl State {
    /// The name in tables, refusals and answers.
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

    /// The state that these columns describe; none if they don't fit together.
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

    /// When the reservation expires, while it is held.
    pub const fn expires_at(self) -> Option<DateTime<Utc>> {
        match self {
            State::Held { expires_at } => Some(expires_at),
            _ => None,
        }
    }

    pub const fn release_reason(self) -> Option<CancelReason> {
        match self {
            State::Released { reason } | State::Tombstone { reason } => Some(reason),
            _ => None,
        }
    }

    /// Whether it may still move stock, so that the levels of its lines must be locked with it.
    pub const fn may_move_stock(self) -> bool {
        matches!(self, State::Held { .. } | State::Committed | State::Expired)
    }
}
