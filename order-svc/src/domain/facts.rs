//! What order-svc knows from other services' events, as far as the order's progress depends on it.

use serde::{Deserialize, Serialize};
use shared_events::{
    AUTHENTICATION_TIMEOUT, CancelReason, LineText, PaymentCaptureFailed, PaymentDeclined, PaymentEvent, RefundId,
    Rejection, RestockCause, ShipmentId, Shortage, Sku, StockEvent, StockLine, StockRejected,
};

/// Declares a fact with its name in the database and the name that clients see.
macro_rules! facts {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $stored:literal, $shown:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $stored)] $variant,)* }

        impl $name {
            /// The name that clients see: the event's.
            pub const fn shown(self) -> &'static str {
                match self { $(Self::$variant => $shown,)* }
            }
        }
    };
}

facts! {
    /// The last event about the order's stock.
    StockFact {
        /// Held for a limited time.
        Reserved = "reserved", "reserved";
        /// Never held: there was too little stock.
        Rejected = "rejected", "rejected";
        /// The reservation had expired and the stock was gone at confirmation. This releases nothing: `released`
        /// follows.
        RejectedExpired = "rejected_expired", "rejected";
        /// The reservation is firm.
        Committed = "committed", "committed";
        Released = "released", "released";
        Expired = "expired", "expired";
        /// Restocked because the order was cancelled.
        Restocked = "restocked", "restocked";
    }
}

facts! {
    /// The last event about the order's payment.
    PaymentFact {
        Authorized = "authorized", "authorized";
        /// Declined; it will be retried.
        DeclinedForNow = "declined_for_now", "declined";
        Declined = "declined", "declined";
        /// The customer has to act first.
        ActionRequired = "action_required", "action_required";
        Captured = "captured", "captured";
        CaptureFailed = "capture_failed", "capture_failed";
        /// Nothing is authorised any more.
        Voided = "voided", "voided";
        RefundedInPart = "refunded_in_part", "refunded";
        Refunded = "refunded", "refunded";
        RefundFailed = "refund_failed", "refund_failed";
        /// The gateway did not answer; payment-svc will ask it.
        Unknown = "unknown", "unknown";
    }
}

facts! {
    /// The last event about a shipment.
    ShipmentFact {
        Created = "created", "created";
        Dispatched = "dispatched", "dispatched";
        Delivered = "delivered", "delivered";
        /// It was called off before it left.
        Cancelled = "cancelled", "cancelled";
        /// It came back, in whole or in part.
        Returned = "returned", "returned";
        Lost = "lost", "lost";
    }
}

/// A shipment of the order, which customers know as a parcel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Parcel {
    pub shipment_id: ShipmentId,
    /// The number of pieces in it, over all lines.
    pub pieces: i64,
    pub fact: ShipmentFact,
    /// The refund that its loss causes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<RefundId>,
    /// How to track it, once it has left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<Tracking>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tracking {
    pub carrier: LineText,
    pub number: LineText,
}

/// Lines that were called off after another part of the order had left.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CalledOff {
    pub lines: Vec<StockLine>,
    /// The refund that calling them off causes.
    pub refund_id: RefundId,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Facts {
    pub stock: Option<StockFact>,
    /// The payment's state; none until payment-svc has published something.
    pub payment: Option<PaymentFact>,
    /// Whether the payment was ever captured. A refund does not change it back.
    pub captured: bool,
    /// The last event about any shipment.
    pub shipment: Option<ShipmentFact>,
    pub parcels: Vec<Parcel>,
    /// Whether the customer has asked to call off what has not left, and stock-svc has not answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub call_off_asked: bool,
    /// What was called off, one entry for each time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub called_off: Vec<CalledOff>,
    /// Refunds made and not reversed. One may arrive before the loss that caused it: topics have no common order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<RefundId>,
    /// Refunds with their amounts that an event caused and the gateway refused, and all that were reversed after they
    /// were made. They are never asked of the gateway again; staff may settle them elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused_refunds: Vec<(RefundId, i64)>,
    /// The lines that were short when stock-svc rejected the order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shortages: Vec<Shortage>,
    /// The code of the latest declined or failed payment; none once the payment is authorised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_code: Option<String>,
    /// Refunds by staff since another was refused, with their amounts. They make up for the refused ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made_up: Vec<(RefundId, i64)>,
}

impl StockFact {
    /// None if the event isn't about stock, or if stock came back without a cancellation: the rest stays committed.
    pub fn of(event: &StockEvent) -> Option<Self> {
        Some(match event {
            StockEvent::Reserved(_) => Self::Reserved,
            StockEvent::Rejected(rejected) => match rejected.rejection {
                Rejection::Shortages { .. } => Self::Rejected,
                Rejection::Expired => Self::RejectedExpired,
            },
            StockEvent::Committed(_) => Self::Committed,
            StockEvent::Released(_) => Self::Released,
            StockEvent::Expired(_) => Self::Expired,
            StockEvent::Restocked(restocked) => match restocked.cause {
                RestockCause::Cancelled => Self::Restocked,
                RestockCause::Returned | RestockCause::CalledOff => return None,
            },
            StockEvent::AddressDecided(_) => return None,
        })
    }
}

impl PaymentFact {
    pub const fn of(event: &PaymentEvent) -> Self {
        match event {
            PaymentEvent::Authorized(_) => Self::Authorized,
            PaymentEvent::Declined(declined) if declined.retryable => Self::DeclinedForNow,
            PaymentEvent::Declined(_) => Self::Declined,
            PaymentEvent::ActionRequired(_) => Self::ActionRequired,
            PaymentEvent::Captured(_) => Self::Captured,
            PaymentEvent::CaptureFailed(_) => Self::CaptureFailed,
            PaymentEvent::Voided(_) => Self::Voided,
            PaymentEvent::Refunded(refunded) if refunded.remaining.is_zero() => Self::Refunded,
            PaymentEvent::Refunded(_) => Self::RefundedInPart,
            PaymentEvent::RefundFailed(_) => Self::RefundFailed,
            PaymentEvent::Unknown(_) => Self::Unknown,
        }
    }

    /// Whether no money of the order is authorised or captured any more, and none will be.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Declined | Self::Voided | Self::Refunded)
    }
}

impl Facts {
    /// Whether nothing is reserved for the order any more, so that a cancellation can end.
    pub const fn goods_are_back(&self) -> bool {
        matches!(self.stock, Some(StockFact::Released | StockFact::Restocked | StockFact::Rejected))
    }

    /// Whether none of the customer's money is held: the payment was undone, finally declined, or never started. It never
    /// starts if the stock was short; then payment-svc publishes nothing.
    pub fn money_is_back(&self) -> bool {
        match self.payment {
            Some(fact) => fact.is_end(),
            None => self.stock == Some(StockFact::Rejected),
        }
    }

    /// Pieces that have left the warehouse.
    pub fn pieces_gone(&self) -> i64 {
        self.pieces(|fact| !matches!(fact, ShipmentFact::Created | ShipmentFact::Cancelled))
    }

    /// Pieces delivered, returned or lost: the order waits for nothing more of them. The number never falls.
    pub fn pieces_ended(&self) -> i64 {
        self.pieces(|fact| matches!(fact, ShipmentFact::Delivered | ShipmentFact::Returned | ShipmentFact::Lost))
    }

    pub fn pieces_called_off(&self) -> i64 {
        self.called_off_lines().map(|line| i64::from(line.quantity)).sum()
    }

    pub fn called_off_of(&self, sku: &Sku) -> i64 {
        self.called_off_lines().filter(|line| line.sku == *sku).map(|line| i64::from(line.quantity)).sum()
    }

    fn called_off_lines(&self) -> impl Iterator<Item = &StockLine> {
        self.called_off.iter().flat_map(|part| &part.lines)
    }

    pub fn note_shortages(&mut self, event: &StockEvent) {
        if let StockEvent::Rejected(StockRejected { rejection: Rejection::Shortages { lines }, .. }) = event {
            self.shortages.clone_from(lines);
        }
    }

    pub fn note_payment_code(&mut self, event: &PaymentEvent) {
        match event {
            PaymentEvent::Declined(PaymentDeclined { code, .. })
            | PaymentEvent::CaptureFailed(PaymentCaptureFailed { code, .. }) => self.payment_code = Some(code.clone()),
            PaymentEvent::Authorized(_) => self.payment_code = None,
            _ => {}
        }
    }

    /// Notes that time ran out. If the customer had to act, that is the reason.
    pub fn note_timeout(&mut self) {
        if self.payment == Some(PaymentFact::ActionRequired) {
            self.payment_code = Some(AUTHENTICATION_TIMEOUT.to_owned());
        }
    }

    /// The code of the failed payment, if an order with this reason failed because of it.
    pub fn payment_code_of(&self, reason: CancelReason) -> Option<&str> {
        let code = self.payment_code.as_deref();
        match reason {
            CancelReason::PaymentDeclined | CancelReason::PaymentExpired => code,
            CancelReason::Timeout => code.filter(|code| *code == AUTHENTICATION_TIMEOUT),
            CancelReason::OutOfStock | CancelReason::Customer => None,
        }
    }

    /// The lines that were short, if an order with this reason failed because of them.
    pub fn shortages_of(&self, reason: CancelReason) -> &[Shortage] {
        if reason == CancelReason::OutOfStock { &self.shortages } else { &[] }
    }

    /// Notes a refund that was made, or one that the gateway refused or the bank reversed days later.
    pub fn note_refund(&mut self, event: &PaymentEvent) {
        match event {
            PaymentEvent::Refunded(refund) => {
                self.refunds.push(refund.refund_id);
                self.refused_refunds.retain(|(refused, _)| *refused != refund.refund_id);
                let owed = self.refused_refunds.iter().any(|(refused, _)| refused.is_caused());
                if owed && !refund.refund_id.is_caused() {
                    self.made_up.push((refund.refund_id, refund.amount.amount()));
                }
            }
            PaymentEvent::RefundFailed(refused) => {
                let came_back = self.refunds.contains(&refused.refund_id);
                self.refunds.retain(|made| *made != refused.refund_id);
                self.made_up.retain(|(made, _)| *made != refused.refund_id);
                if came_back || refused.refund_id.is_caused() {
                    self.refused_refunds.push((refused.refund_id, refused.amount.amount()));
                }
            }
            _ => {}
        }
    }

    /// The refunds that the order waits for before it ends: of what was lost and of what was called off.
    fn awaited_refunds(&self) -> impl Iterator<Item = RefundId> {
        let of_losses = self.parcels.iter().filter_map(|parcel| parcel.refund_id);
        of_losses.chain(self.called_off.iter().map(|part| part.refund_id))
    }

    /// Whether everything that was lost or called off is refunded. If such a refund was refused, refunds by staff make up
    /// for it, in any number of parts, once they add up to all refused refunds that events caused. Only sums can be
    /// compared, because a refund by staff doesn't say what it is for.
    pub fn awaited_refunds_are_made(&self) -> bool {
        let is_refused = |id: RefundId| self.refused_refunds.iter().any(|(refused, _)| *refused == id);
        let mut missing = self.awaited_refunds().filter(|refund| !self.refunds.contains(refund)).peekable();
        let caused = self.refused_refunds.iter().filter(|(refused, _)| refused.is_caused());
        let owed: i64 = caused.map(|(_, amount)| amount).sum();
        let made_up: i64 = self.made_up.iter().map(|(_, amount)| amount).sum();
        self.payment == Some(PaymentFact::Refunded)
            || missing.peek().is_none()
            || (made_up >= owed && missing.all(is_refused))
    }

    pub fn an_awaited_refund_was_refused(&self) -> bool {
        let mut awaited = self.awaited_refunds();
        awaited.any(|id| self.refused_refunds.iter().any(|(refused, _)| *refused == id))
    }

    fn pieces(&self, counts: impl Fn(ShipmentFact) -> bool) -> i64 {
        self.parcels.iter().filter(|parcel| counts(parcel.fact)).map(|parcel| parcel.pieces).sum()
    }
}
