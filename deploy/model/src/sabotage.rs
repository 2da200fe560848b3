//! Rules of the choreography that can be left out one at a time, to check that the exploration notices.

use std::fmt;

use crate::play::Play;

/// A rule to leave out, where the explorer calls the services' domains, never in the services themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    AllocationFirst,
    UndoOnRequest,
    ShipAfterCapture,
    ExpiryStopsOnlyAuthorising,
    UndoRemembered,
    ConfirmAnswered,
    RejectedExpiredKeepsNote,
    NeverStarted,
    DeclinesRelease,
    LeftGoodsStay,
    UndoClosesWaiting,
    UndoneDeclineFinal,
    FailedActionClosedFirst,
    FactsStayTrue,
    ReturnIsNoCancel,
    RefundCapped,
    LossRefunded,
    LossAwaitsRefund,
    PartsCancelledApart,
    PartsCountTheirPieces,
    RefundOwedWhole,
    CallOffSparesWhatLeft,
    CalledOffRefunded,
    CalledOffCounts,
    CalledOffAwaitsRefund,
    LookedUpWhileItWaits,
    LookedUpBeforeItIsEnded,
    OvertakenRefundLooksUp,
    CapturedIsNotVoided,
    AddressDecidedByStock,
    LeftAddressesStay,
    LeftAddressesAreTold,
}

impl Sabotage {
    /// All of them: first the sixteen of the model in Python, then ours.
    pub const ALL: [Self; 32] = [
        Self::AllocationFirst,
        Self::UndoOnRequest,
        Self::ShipAfterCapture,
        Self::ExpiryStopsOnlyAuthorising,
        Self::UndoRemembered,
        Self::ConfirmAnswered,
        Self::RejectedExpiredKeepsNote,
        Self::NeverStarted,
        Self::DeclinesRelease,
        Self::LeftGoodsStay,
        Self::UndoClosesWaiting,
        Self::UndoneDeclineFinal,
        Self::FailedActionClosedFirst,
        Self::FactsStayTrue,
        Self::ReturnIsNoCancel,
        Self::RefundCapped,
        Self::LossRefunded,
        Self::LossAwaitsRefund,
        Self::PartsCancelledApart,
        Self::PartsCountTheirPieces,
        Self::RefundOwedWhole,
        Self::CallOffSparesWhatLeft,
        Self::CalledOffRefunded,
        Self::CalledOffCounts,
        Self::CalledOffAwaitsRefund,
        Self::LookedUpWhileItWaits,
        Self::LookedUpBeforeItIsEnded,
        Self::OvertakenRefundLooksUp,
        Self::CapturedIsNotVoided,
        Self::AddressDecidedByStock,
        Self::LeftAddressesStay,
        Self::LeftAddressesAreTold,
    ];

    /// Whether the rule is one of the Python model's. That model has no losses, no partial shipments, no refused
    /// refunds, no calling off and no changes of address.
    pub fn is_the_models(self) -> bool {
        Self::ALL[..16].contains(&self)
    }

    /// Whether leaving out the rule can make a difference in this setting.
    pub fn matters_in(self, play: &Play) -> bool {
        match self {
            Self::CallOffSparesWhatLeft
            | Self::CalledOffRefunded
            | Self::CalledOffCounts
            | Self::CalledOffAwaitsRefund => play.calls_off,
            Self::AddressDecidedByStock | Self::LeftAddressesStay | Self::LeftAddressesAreTold => play.moves,
            _ => true,
        }
    }

    /// The rule, in words.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::AllocationFirst => "payment-svc undoes money only on stock's word",
            Self::UndoOnRequest => "goods are given back on cancel_requested; cancelled triggers nothing",
            Self::ShipAfterCapture => "a shipment is created when the payment is captured",
            Self::ExpiryStopsOnlyAuthorising => "expiry stops authorisations, never captures or what is authorised",
            Self::UndoRemembered => "an undo heard while a gateway call is in flight is remembered",
            Self::ConfirmAnswered => "confirmed after expiry is answered: held again, or rejected {expired}",
            Self::RejectedExpiredKeepsNote => "rejected {expired} closes nothing; payment-svc waits for released",
            Self::NeverStarted => "never started means rejected {shortages} and no payment fact",
            Self::DeclinesRelease => "a final decline releases held and expired reservations",
            Self::LeftGoodsStay => "what has left the warehouse is not restocked by a cancel",
            Self::UndoClosesWaiting => {
                "released while waiting for a retry or for 3-D Secure cancels the intent and answers voided"
            }
            Self::UndoneDeclineFinal => "with void_requested every decline is final",
            Self::FailedActionClosedFirst => {
                "a failed 3-D Secure is declined only after its intent is cancelled; what nobody awaits is voided"
            }
            Self::FactsStayTrue => "captured and delivered, once heard, stay true",
            Self::ReturnIsNoCancel => "only restocked {cancelled} counts as goods back, restocked {returned} does not",
            Self::RefundCapped => "refunds never exceed what remains; money is back only at remaining 0",
            Self::LossRefunded => "what is lost on its way is refunded",
            Self::PartsCancelledApart => "once one part of an order has left, a cancel calls no other off",
            Self::PartsCountTheirPieces => "a part counts for the pieces in it, not for the order",
            Self::RefundOwedWhole => "what an event causes is owed whole, since a refund before it may be refused",
            Self::CallOffSparesWhatLeft => "what has left is not called off, even if it left after that was asked for",
            Self::CalledOffRefunded => "what is called off is refunded",
            Self::CalledOffCounts => "an order awaits nothing more of what was called off",
            Self::CalledOffAwaitsRefund => "an order of which a part was called off completes once that is refunded",
            Self::LookedUpWhileItWaits => "while a customer is waited for, their intent is looked up",
            Self::LookedUpBeforeItIsEnded => {
                "a customer's intent is looked up before it is ended: if they acted, they have bought"
            }
            Self::OvertakenRefundLooksUp => {
                "what a gateway refuses to refund is looked up there: what went back is booked, what remains is asked for"
            }
            Self::CapturedIsNotVoided => "what somebody else has captured is refunded where it was to be voided",
            Self::AddressDecidedByStock => "where a parcel goes that may have left is stock-svc's to decide",
            Self::LeftAddressesStay => "what has left goes where it was sent",
            Self::LeftAddressesAreTold => "what has left before its address changed is told",
            Self::LossAwaitsRefund => "an order with a loss completes once that is refunded",
        }
    }
}

impl fmt::Display for Sabotage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule())
    }
}
