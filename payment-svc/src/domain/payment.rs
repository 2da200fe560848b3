use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared_events::{
    CustomerId, GatewayOperation, Money, OrderId, OrderPlaced, PaymentEvent, PaymentId, PaymentMethod, Quantity,
    RefundId, Sku,
};

use super::Refund;

/// The money of one order. Its row is the root of the order's key on `payments.v1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Payment {
    pub id: PaymentId,
    pub order_id: OrderId,
    pub state: State,
    /// What is to be paid and how, once `order.placed` is heard.
    pub charge: Option<Charge>,
    pub hold: Hold,
    /// Goods were given back while a gateway call was in flight: undo what it brings.
    pub void_requested: bool,
    /// The gateway did not answer the call that is in flight.
    pub unanswered: bool,
    /// The gateway's name for it, stored before it is confirmed.
    pub intent: Option<String>,
    /// What the gateway said when it said no.
    pub failure_code: Option<String>,
    /// How often the gateway was asked to authorise; part of the keys of its calls.
    pub attempts: u32,
    /// How often the gateway has refused to end the intent; part of the key of the next try, since it repeats a refusal.
    pub void_refusals: u32,
    pub refunds: Vec<Refund>,
}

/// What an order costs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Charge {
    /// The order's total.
    pub amount: Money,
    /// As the gateway names it.
    pub method: PaymentMethod,
    /// For what: a restocked line is refunded at its price.
    pub lines: Vec<ChargeLine>,
    /// Whose order it is; not known of orders that were placed before it was kept.
    pub customer: Option<CustomerId>,
}

impl Charge {
    pub fn of(placed: &OrderPlaced) -> Self {
        let lines = placed.lines.iter().map(|line| ChargeLine {
            sku: line.sku.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price,
        });
        let (method, customer) = (placed.payment_method.clone(), Some(placed.customer.id.clone()));
        Self { amount: placed.total, method, lines: lines.collect(), customer }
    }
}

/// One line of the order, as far as money goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChargeLine {
    pub sku: Sku,
    pub quantity: Quantity,
    pub unit_price: Money,
}

/// What stock-svc reported of the goods, as far as authorising depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hold {
    /// Set by `stock.reserved`: until when the gateway may be asked.
    pub deadline: Option<DateTime<Utc>>,
    /// The hold or the deadline has passed: nothing is authorised any more.
    pub expired: bool,
}

shared_events::named! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum State: as_str {
        /// Waits for `order.placed` and `stock.reserved`.
        New = "new",
        /// Goods were given back before the order was heard of: answers `voided` once, and never acts.
        Tombstone = "tombstone",
        /// Stock was short: nothing will be asked of the gateway.
        Closed = "closed",
        /// The gateway is asked to reserve the money.
        Authorizing = "authorizing",
        /// The bank said no for now and will be asked again.
        WaitingToRetry = "waiting_to_retry",
        /// The customer has to act first, as with 3-D Secure.
        ActionRequired = "action_required",
        /// The gateway is asked to end an intent with which nothing was authorised.
        Closing = "closing",
        /// It is reserved.
        Authorized = "authorized",
        /// The gateway is asked to take it.
        Capturing = "capturing",
        /// It is ours, less what was refunded.
        Captured = "captured",
        /// What was authorised can't be taken; waits for the goods to be given back.
        CaptureFailed = "capture_failed",
        /// The gateway is asked to let go of it.
        Voiding = "voiding",
        /// Nothing is authorised any more.
        Voided = "voided",
        /// The gateway said no, for good.
        Declined = "declined",
    }
}

/// One thing to ask of the gateway. A payment has at most one unfinished call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    Authorise,
    Capture,
    Void,
    Refund(RefundId),
}

impl Call {
    pub const fn operation(self) -> GatewayOperation {
        match self {
            Self::Authorise => GatewayOperation::Authorise,
            Self::Capture => GatewayOperation::Capture,
            Self::Void => GatewayOperation::Void,
            Self::Refund(_) => GatewayOperation::Refund,
        }
    }
}

/// What follows from an event or a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Transition {
    /// To be announced, in order.
    pub events: Vec<PaymentEvent>,
    pub call: Option<Call>,
    /// How much the gateway moved with which call, for the ledger; in order.
    pub moved: Vec<(Call, Money)>,
    /// A refund that came back after it was made, and its amount; for the ledger.
    pub came_back: Option<(RefundId, Money)>,
    /// A refund that staff have paid past the gateway, and its amount; for the ledger.
    pub outside: Option<(RefundId, Money)>,
    /// What the gateway had taken beyond what was captured, and can be entered now that money came back; by refund.
    pub made_good: Vec<(RefundId, Money)>,
    /// The unfinished call that this has answered before its own answer came.
    pub finishes: Option<Call>,
    /// The unfinished call is pointless by now: it doesn't wait for its backoff, so that it ends soon.
    pub hastens: bool,
    /// When [`Payment::retry`] is to be tried.
    pub retry_in: Option<Duration>,
}

impl Transition {
    pub(super) fn nothing() -> Self {
        Self::default()
    }

    pub(super) fn say(event: PaymentEvent) -> Self {
        Self { events: vec![event], ..Self::default() }
    }

    /// The call that is unfinished is not needed any more.
    pub(super) fn hasten() -> Self {
        Self { hastens: true, ..Self::default() }
    }

    pub(super) fn ask(call: Call) -> Self {
        Self { call: Some(call), ..Self::default() }
    }

    pub(super) fn moved(mut self, call: Call, amount: Money) -> Self {
        self.moved.push((call, amount));
        self
    }

    /// This step, and then what it leads to.
    #[must_use]
    pub fn then(self, next: Transition) -> Self {
        Self { events: [self.events, next.events].concat(), call: self.call.or(next.call), ..self }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not in this state, which a race can cause: recorded and ignored.
    #[error("a payment that is {state} does not {wanted}")]
    Not {
        /// What would have happened.
        wanted: &'static str,
        state: &'static str,
    },
    #[error("{remaining} of the payment remain, {wanted} can't be given back")]
    MoreThanRemains { wanted: Money, remaining: Money },
    #[error("the refund is {state}, and only one that has failed can be settled outside of the gateway")]
    RefundNotFailed { state: &'static str },
    /// Goods came back that the order never had, which no race can cause: somebody must look.
    #[error("{sku} came back but is not among the order's lines")]
    NotOrdered { sku: Sku },
}

impl Payment {
    /// A payment of which nothing is known but its order.
    pub fn new(id: PaymentId, order_id: OrderId) -> Self {
        Self {
            id,
            order_id,
            state: State::New,
            charge: None,
            hold: Hold::default(),
            void_requested: false,
            unanswered: false,
            intent: None,
            failure_code: None,
            attempts: 0,
            void_refusals: 0,
            refunds: vec![],
        }
    }

    /// Whether the gateway may still be asked to authorise: checked again right before it is called.
    pub fn may_authorise(&self, now: DateTime<Utc>) -> bool {
        !self.void_requested && !self.hold.expired && self.hold.deadline.is_some_and(|deadline| now < deadline)
    }

    /// The gateway's key of a call: the same over all retries after silence, a new one for a new attempt and after a
    /// refusal to end the intent.
    pub fn key(&self, call: Call) -> String {
        match call {
            Call::Authorise => self.key_of("authorise"),
            Call::Capture => self.key_of("capture"),
            Call::Void if self.void_refusals > 0 => format!("{}:{}", self.key_of("void"), self.void_refusals),
            Call::Void => self.key_of("void"),
            Call::Refund(id) => match self.refunds.iter().find(|refund| refund.id == id) {
                Some(refund) => refund.key(),
                None => id.to_string(),
            },
        }
    }

    /// The key of one step of the current attempt.
    pub fn key_of(&self, step: &str) -> String {
        format!("{}:{step}:{}", self.id, self.attempts)
    }

    /// What was captured: nothing, or the whole amount.
    pub fn captured(&self) -> Option<Money> {
        self.charge.as_ref().map(|charge| match self.state {
            State::Captured => charge.amount,
            _ => Money::zero(charge.amount.currency()),
        })
    }

    pub(super) fn refused(&self, wanted: &'static str) -> Refused {
        Refused::Not { wanted, state: self.state.as_str() }
    }
}

/// The status as people read it, from what the table holds; amounts in minor units.
pub const fn status(state: State, unanswered: bool, captured: i64, refunded: i64) -> &'static str {
    match state {
        _ if unanswered => "unknown",
        State::Captured if refunded > 0 && refunded == captured => "refunded",
        State::Captured if refunded > 0 => "partially_refunded",
        State::Tombstone => State::New.as_str(),
        _ => state.as_str(),
    }
}
