//! What other services said of an order, as far as the order's course depends on it.

use serde::{Deserialize, Serialize};
use shared_events::{
    AUTHENTICATION_TIMEOUT, CancelReason, LineText, PaymentCaptureFailed, PaymentDeclined, PaymentEvent, RefundId,
    Rejection, RestockCause, ShipmentId, Shortage, Sku, StockEvent, StockLine, StockRejected,
};

/// Declares a fact with its name in the table and the name that a client sees.
macro_rules! facts {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $stored:literal, $shown:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $stored)] $variant,)* }

        impl $name {
            /// As a client sees it: the name of the event.
            pub const fn shown(self) -> &'static str {
                match self { $(Self::$variant => $shown,)* }
            }
        }
    };
}

facts! {
    /// The last that stock-svc said of the order's goods.
    StockFact {
        /// Held for a while.
        Reserved = "reserved", "reserved";
        /// Never held: too little on hand.
        Rejected = "rejected", "rejected";
        /// Held once, expired, and gone when the order was confirmed. Nothing is released by it: `released` follows.
        RejectedExpired = "rejected_expired", "rejected";
        /// The hold is firm.
        Committed = "committed", "committed";
        /// Given back.
        Released = "released", "released";
        /// The hold ended by time.
        Expired = "expired", "expired";
        /// Back on the shelf since the order was cancelled.
        Restocked = "restocked", "restocked";
    }
}

facts! {
    /// The last that payment-svc said of the order's money.
    PaymentFact {
        /// Reserved at the gateway.
        Authorized = "authorized", "authorized";
        /// Declined; it will be tried again.
        DeclinedForNow = "declined_for_now", "declined";
        /// Declined for good.
        Declined = "declined", "declined";
        /// The customer has to act first.
        ActionRequired = "action_required", "action_required";
        /// Taken.
        Captured = "captured", "captured";
        /// What was authorised could not be taken.
        CaptureFailed = "capture_failed", "capture_failed";
        /// Nothing is authorised any more.
        Voided = "voided", "voided";
        /// A part went back.
        RefundedInPart = "refunded_in_part", "refunded";
        /// All of it went back.
        Refunded = "refunded", "refunded";
        /// A refund was refused by the gateway.
        RefundFailed = "refund_failed", "refund_failed";
        /// The gateway did not answer and will be asked.
        Unknown = "unknown", "unknown";
    }
}

facts! {
    /// The last that stock-svc said of a parcel.
    ShipmentFact {
        /// To be packed and sent.
        Created = "created", "created";
        /// On its way.
        Dispatched = "dispatched", "dispatched";
        /// Arrived.
        Delivered = "delivered", "delivered";
        /// Called off before it left.
        Cancelled = "cancelled", "cancelled";
        /// Some or all of it came back.
        Returned = "returned", "returned";
        /// Given up for lost on its way.
        Lost = "lost", "lost";
    }
}

/// A parcel of the order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Parcel {
    /// Its id.
    pub shipment_id: ShipmentId,
    /// How many pieces are in it, over all lines.
    pub pieces: i64,
    /// The last that was said of it.
    pub fact: ShipmentFact,
    /// The refund of what was in it, which its loss causes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<RefundId>,
    /// Where to follow it, once it has left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<Tracking>,
}

/// Where to follow a parcel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tracking {
    /// Who carries it.
    pub carrier: LineText,
    /// Its number there.
    pub number: LineText,
}

/// Lines that were called off after something else of the order had left.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CalledOff {
    /// What will not be sent.
    pub lines: Vec<StockLine>,
    /// The refund of these lines, which their return to the shelf causes.
    pub refund_id: RefundId,
}

/// Everything heard of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Facts {
    /// Goods.
    pub stock: Option<StockFact>,
    /// Money; none means that payment-svc has said nothing.
    pub payment: Option<PaymentFact>,
    /// Whether the money was ever captured. Stays true: a refund changes amounts, not this.
    pub captured: bool,
    /// The last said of any parcel.
    pub shipment: Option<ShipmentFact>,
    /// Every parcel.
    pub parcels: Vec<Parcel>,
    /// Whether the customer has asked to call off what has not left, and stock-svc has not answered yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub call_off_asked: bool,
    /// What was called off, each time that something was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub called_off: Vec<CalledOff>,
    /// Every refund that was made and did not come back. One may be heard of before the loss that caused it: topics are not
    /// ordered among each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<RefundId>,
    /// Refunds that an event caused and the gateway refused, and all that came back after they were made, with how much
    /// each was. None is ever asked of the gateway again under its id; staff may settle it outside of the gateway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused_refunds: Vec<(RefundId, i64)>,
    /// The lines that were short when stock-svc refused the order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shortages: Vec<Shortage>,
    /// The code of the last decline, or of what else the payment came to nothing with; none once it is authorised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_code: Option<String>,
    /// What staff gave back since a refund was refused: it makes up for the refused ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made_up: Vec<(RefundId, i64)>,
}

impl StockFact {
    /// The fact in `event`; none for goods that came back without a cancellation, since the rest of the
    /// order stays firm, and for what is no fact about goods.
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
    /// The fact in `event`.
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
    /// Whether nothing is held for the order any more, for a cancellation.
    pub const fn goods_are_back(&self) -> bool {
        matches!(self.stock, Some(StockFact::Released | StockFact::Restocked | StockFact::Rejected))
    }

    /// Whether no money is held for the order: undone, declined for good, or never started (which is: the goods were
    /// short, on which payment-svc never acts, **and** it has said nothing).
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

    /// Pieces that have arrived, came back from the way or were lost there: nothing more is awaited of them. Once heard it
    /// stays true.
    pub fn pieces_ended(&self) -> i64 {
        self.pieces(|fact| matches!(fact, ShipmentFact::Delivered | ShipmentFact::Returned | ShipmentFact::Lost))
    }

    /// Pieces that will never leave, since they were called off.
    pub fn pieces_called_off(&self) -> i64 {
        self.called_off_lines().map(|line| i64::from(line.quantity)).sum()
    }

    /// How many of these will never leave.
    pub fn called_off_of(&self, sku: &Sku) -> i64 {
        self.called_off_lines().filter(|line| line.sku == *sku).map(|line| i64::from(line.quantity)).sum()
    }

    fn called_off_lines(&self) -> impl Iterator<Item = &StockLine> {
        self.called_off.iter().flat_map(|part| &part.lines)
    }

    /// Notes why goods can't be had.
    pub fn note_shortages(&mut self, event: &StockEvent) {
        if let StockEvent::Rejected(StockRejected { rejection: Rejection::Shortages { lines }, .. }) = event {
            self.shortages.clone_from(lines);
        }
    }

    /// Notes with which code the payment comes to nothing, as far as is known.
    pub fn note_payment_code(&mut self, event: &PaymentEvent) {
        match event {
            PaymentEvent::Declined(PaymentDeclined { code, .. })
            | PaymentEvent::CaptureFailed(PaymentCaptureFailed { code, .. }) => self.payment_code = Some(code.clone()),
            PaymentEvent::Authorized(_) => self.payment_code = None,
            _ => {}
        }
    }

    /// Notes that time ran out; where the customer was waited for meanwhile, that is why.
    pub fn note_timeout(&mut self) {
        if self.payment == Some(PaymentFact::ActionRequired) {
            self.payment_code = Some(AUTHENTICATION_TIMEOUT.to_owned());
        }
    }

    /// With which code the payment came to nothing, where an order ends for that reason.
    pub fn payment_code_of(&self, reason: CancelReason) -> Option<&str> {
        let code = self.payment_code.as_deref();
        match reason {
            CancelReason::PaymentDeclined | CancelReason::PaymentExpired => code,
            CancelReason::Timeout => code.filter(|code| *code == AUTHENTICATION_TIMEOUT),
            CancelReason::OutOfStock | CancelReason::Customer => None,
        }
    }

    /// Which lines were short, where an order ends for that reason.
    pub fn shortages_of(&self, reason: CancelReason) -> &[Shortage] {
        if reason == CancelReason::OutOfStock { &self.shortages } else { &[] }
    }

    /// Notes a refund that was made, or one that was refused, be it that the bank gave it back days after.
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

    /// The refunds that the order's end waits for: of what was lost, and of what was called off.
    fn awaited_refunds(&self) -> impl Iterator<Item = RefundId> {
        let of_losses = self.parcels.iter().filter_map(|parcel| parcel.refund_id);
        of_losses.chain(self.called_off.iter().map(|part| part.refund_id))
    }

    /// Whether the money for every parcel that was lost, and for all that was called off, is back. Where a refund was refused, what staff gave back makes up for
    /// it, in however many parts, once it is as much as all that was refused of what events caused: nothing says what a
    /// refund by staff is for.
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

    /// Whether a refund that the order's end waits for was refused.
    pub fn an_awaited_refund_was_refused(&self) -> bool {
        let mut awaited = self.awaited_refunds();
        awaited.any(|id| self.refused_refunds.iter().any(|(refused, _)| *refused == id))
    }

    fn pieces(&self, counts: impl Fn(ShipmentFact) -> bool) -> i64 {
        self.parcels.iter().filter(|parcel| counts(parcel.fact)).map(|parcel| parcel.pieces).sum()
    }
}
