use shared_events::CancelReason;

/// The status of an order, which follows from the events that order-svc has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Waits for stock and payment.
    Pending,
    /// The stock is reserved and the payment is authorised.
    Confirmed,
    /// A part has left the warehouse.
    PartiallyShipped,
    /// Everything has left the warehouse.
    Shipped,
    /// Everything has been delivered and paid.
    Completed,
    /// Ending: stock or money are not back yet.
    Cancelling(CancelReason),
    /// Ended: stock and money are back.
    Cancelled(CancelReason),
}

impl Status {
    pub const NAMES: [&'static str; 7] =
        ["pending", "confirmed", "partially_shipped", "shipped", "completed", "cancelling", "cancelled"];

    /// The names of those that are final.
    pub const ENDS: [&'static str; 2] = ["completed", "cancelled"];

    /// The name, in the database and for clients.
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

    /// Whether the status with this name is final.
    pub fn is_end(name: &str) -> bool {
        Self::ENDS.contains(&name)
    }

    pub const fn reason(self) -> Option<CancelReason> {
        match self {
            Self::Cancelling(reason) | Self::Cancelled(reason) => Some(reason),
            _ => None,
        }
    }

    /// The status with this name and reason, if the two fit.
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
