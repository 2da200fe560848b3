use shared_events::CancelReason;

/// Where an order stands, as derived from the facts it heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Placed; goods and money are awaited.
    Pending,
    /// Goods are held and money is authorised.
    Confirmed,
    /// Some of it has left.
    PartiallyShipped,
    /// All of it has left.
    Shipped,
    /// All of it has arrived and is paid.
    Completed,
    /// It is to end; goods or money are not back yet.
    Cancelling(CancelReason),
    /// It has ended; goods and money are back.
    Cancelled(CancelReason),
}

impl Status {
    /// Every name that a status can have.
    pub const NAMES: [&'static str; 7] =
        ["pending", "confirmed", "partially_shipped", "shipped", "completed", "cancelling", "cancelled"];

    /// The name, in tables and for clients.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::PartiallyShipped => "partially_shipped",
            Self::Shipped => "shipped",
            Self::Completed => "completed",
            Self::Cancelling(_) => "cancelling",
            Self::Cancelled(_) => "cancelled",
        }
    }

    /// Whether an order that stands at the status of this name has ended.
    pub fn is_end(name: &str) -> bool {
        matches!(name, "completed" | "cancelled")
    }

    /// Why it is being or was cancelled.
    pub const fn reason(self) -> Option<CancelReason> {
        match self {
            Self::Cancelling(reason) | Self::Cancelled(reason) => Some(reason),
            _ => None,
        }
    }

    /// The status of that name and reason, if they fit each other.
    pub fn from_parts(name: &str, reason: Option<CancelReason>) -> Option<Self> {
        Some(match (name, reason) {
            ("pending", None) => Self::Pending,
            ("confirmed", None) => Self::Confirmed,
            ("partially_shipped", None) => Self::PartiallyShipped,
            ("shipped", None) => Self::Shipped,
            ("completed", None) => Self::Completed,
            ("cancelling", Some(reason)) => Self::Cancelling(reason),
            ("cancelled", Some(reason)) => Self::Cancelled(reason),
            _ => return None,
        })
    }
}
