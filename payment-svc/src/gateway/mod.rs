//! The payment gateway: the one edge that is behind a trait.

mod declines;
mod journal;
mod stripe;

use std::future::Future;

use shared_events::{Money, OrderId, PaymentMethod, RefundId};

pub use declines::{action_failed, may_pass};
pub use journal::{GatewayJournal, JournalTotals, ListedIntent};
pub use stripe::{Stripe, StripeConfig, VERSION as STRIPE_VERSION};

/// What payment-svc asks of a gateway. Every call that moves money has a key: asked again with it, a gateway repeats
/// its answer and does nothing twice.
pub trait PaymentGateway: Send + Sync + 'static {
    /// Makes an intent, which moves no money yet, and gives its id.
    fn create(&self, key: String, intent: NewIntent) -> impl Future<Output = Result<String, GatewayError>> + Send;

    /// Authorises the intent. The method is said again: a decline makes the gateway forget it.
    fn confirm(
        &self,
        key: String,
        intent: String,
        method: PaymentMethod,
    ) -> impl Future<Output = Result<IntentState, GatewayError>> + Send;

    fn capture(&self, key: String, intent: String) -> impl Future<Output = Result<IntentState, GatewayError>> + Send;

    /// Ends the intent and lets go of what was authorised.
    fn cancel(&self, key: String, intent: String) -> impl Future<Output = Result<IntentState, GatewayError>> + Send;

    fn look_up(&self, intent: String) -> impl Future<Output = Result<IntentState, GatewayError>> + Send;

    fn refund(
        &self,
        key: String,
        refund: NewRefund,
    ) -> impl Future<Output = Result<RefundOutcome, GatewayError>> + Send;

    /// What has become of a refund; nothing if the gateway never heard of it.
    fn look_up_refund(
        &self,
        intent: String,
        refund: RefundId,
    ) -> impl Future<Output = Result<Option<RefundOutcome>, GatewayError>> + Send;

    /// All that was given back of an intent, whoever asked for it, the earliest first.
    fn given_back(&self, intent: String) -> impl Future<Output = Result<Vec<GivenBack>, GatewayError>> + Send;
}

/// Money that went back to the customer, as the gateway has it: a refund, or a dispute that took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenBack {
    pub id: String,
    /// Our id for it, if we asked for it.
    pub ours: Option<RefundId>,
    /// How much, in minor units.
    pub amount: i64,
    /// Why it came to nothing, where it did: the refund failed, or the dispute was won.
    pub failed: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NewIntent {
    /// Put into the intent's metadata, so that a person can find the order.
    pub order_id: OrderId,
    pub amount: Money,
    pub method: PaymentMethod,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NewRefund {
    /// Put into the refund's metadata, so that it can be looked up.
    pub id: RefundId,
    pub intent: String,
    pub amount: Money,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntentState {
    /// Never confirmed, or the confirmation hasn't arrived.
    NotConfirmed,
    Processing,
    /// The customer has to act first, as with 3-D Secure.
    ActionRequired {
        /// Where they do that, if the gateway gives an address.
        url: Option<String>,
    },
    Authorised,
    Captured,
    /// Somebody has captured less than all of it, and the rest was let go of.
    CapturedInPart {
        /// How much, in minor units.
        amount: i64,
    },
    Cancelled {
        /// Whether money had been reserved, and was let go of.
        let_go: bool,
    },
    Declined {
        /// Its code, such as `insufficient_funds`.
        code: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundOutcome {
    Accepted {
        /// The gateway's name for it.
        id: String,
    },
    Failed {
        code: String,
    },
}

/// Why a call did not do what it asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// The gateway says no to what was asked; a decline that [`may_pass`] too.
    #[error("refused: {code}")]
    Refused { code: String },
    /// The request itself is wrong, such as an unknown payment method: the shop's mistake, not a bank's answer.
    #[error("refused as wrong: {code}{}", .parameter.as_deref().map(|name| format!(" ({name})")).unwrap_or_default())]
    Misused {
        code: String,
        /// What of the request is wrong, if it says so.
        parameter: Option<String>,
    },
    /// The intent isn't where the call wants it: it was moved before, so look it up.
    #[error("the intent has moved on")]
    MovedOn,
    #[error("the gateway knows of no such thing")]
    Unknown,
    /// It was not reached, so nothing happened, and no other call would reach it now.
    #[error("not reached: {0}")]
    Away(String),
    /// Nothing happened, and later it may: busy, too many requests, or a key that isn't accepted.
    #[error("not done: {0}")]
    NotDone(String),
    /// It was asked and did not answer, or with a failure of its own: nobody knows what happened.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

/// What is kept with a call when the gateway is not reached.
pub const AWAY: &str = "away";

impl GatewayError {
    /// A code, one of few, that is kept with a call that waits because of this.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::MovedOn => "moved_on",
            Self::Unknown => "unknown_to_gateway",
            Self::Away(_) => AWAY,
            Self::NotDone(_) => "not_done",
            Self::NoAnswer(_) => "no_answer",
            Self::Misused { .. } => "misused",
        }
    }
}
