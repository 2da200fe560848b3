//! What other services said of an order, as far as the order's course depends on it.

use serde::{Deserialize, Serialize};
use shared_events::{PaymentEvent, RefundId, Rejection, RestockCause, ShipmentId, StockEvent};

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
    /// Every refund that was made. One may be heard of before the loss that caused it: topics are not ordered among each
    /// other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<RefundId>,
    /// Refunds that the gateway refused, and how much each was: what goes back later makes up for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused_refunds: Vec<(RefundId, i64)>,
}

impl StockFact {
    /// The fact in `event`; none for a return, which is no cancellation and moves no order.
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
                RestockCause::Returned => return None,
            },
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

    /// Notes a refund that was made, or one that was refused. One that was refused is never tried again under its id: the
    /// next by staff that is at least as much stands for it. One that an event caused stands for itself alone.
    pub fn note_refund(&mut self, event: &PaymentEvent) {
        match event {
            PaymentEvent::Refunded(refund) => {
                self.refunds.push(refund.refund_id);
                if !refund.refund_id.is_caused() {
                    let made_up = |(id, owed): &(RefundId, i64)| id.is_caused() && *owed <= refund.amount.amount();
                    let stands_for = self.refused_refunds.iter().position(made_up);
                    self.refunds.extend(stands_for.map(|at| self.refused_refunds.remove(at).0));
                }
            }
            PaymentEvent::RefundFailed(refused) => {
                self.refused_refunds.push((refused.refund_id, refused.amount.amount()));
            }
            _ => {}
        }
    }

    /// Whether the gateway refused a refund that the order waits for, and no other has taken its place.
    pub fn refund_was_refused(&self) -> bool {
        self.refused_refunds.iter().any(|(refund, _)| refund.is_caused())
    }

    /// Whether the money for every parcel that was lost is back.
    pub fn losses_are_refunded(&self) -> bool {
        let back = |parcel: &Parcel| parcel.refund_id.is_none_or(|refund| self.refunds.contains(&refund));
        self.payment == Some(PaymentFact::Refunded) || self.parcels.iter().all(back)
    }

    fn pieces(&self, counts: impl Fn(ShipmentFact) -> bool) -> i64 {
        self.parcels.iter().filter(|parcel| counts(parcel.fact)).map(|parcel| parcel.pieces).sum()
    }
}
