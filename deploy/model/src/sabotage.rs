//! Rules of the choreography that can be left out one at a time, to check that the exploration notices.

use std::fmt;

use crate::play::Play;

shared_events::named! {
    /// A rule to leave out, where the explorer calls the services' domains, never in the services themselves. First the
    /// sixteen of the model in Python, then ours.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Sabotage: rule {
        AllocationFirst = "payment-svc undoes money only on stock's word",
        UndoOnRequest = "goods are given back on cancel_requested; cancelled triggers nothing",
        ShipAfterCapture = "a shipment is created when the payment is captured",
        ExpiryStopsOnlyAuthorising = "expiry stops authorisations, never captures or what is authorised",
        UndoRemembered = "an undo heard while a gateway call is in flight is remembered",
        ConfirmAnswered = "confirmed after expiry is answered: held again, or rejected {expired}",
        RejectedExpiredKeepsNote = "rejected {expired} closes nothing; payment-svc waits for released",
        NeverStarted = "never started means rejected {shortages} and no payment fact",
        DeclinesRelease = "a final decline releases held and expired reservations",
        LeftGoodsStay = "what has left the warehouse is not restocked by a cancel",
        UndoClosesWaiting = "released while waiting for a retry or for 3-D Secure cancels the intent and answers voided",
        UndoneDeclineFinal = "with void_requested every decline is final",
        FailedActionClosedFirst = "a failed 3-D Secure is declined only after its intent is cancelled; what nobody awaits is voided",
        FactsStayTrue = "captured and delivered, once heard, stay true",
        ReturnIsNoCancel = "only restocked {cancelled} counts as goods back, restocked {returned} does not",
        RefundCapped = "refunds never exceed what remains; money is back only at remaining 0",
        LossRefunded = "what is lost on its way is refunded",
        LossAwaitsRefund = "an order with a loss completes once that is refunded",
        PartsCancelledApart = "once one part of an order has left, a cancel calls no other off",
        PartsCountTheirPieces = "a part counts for the pieces in it, not for the order",
        RefundOwedWhole = "what an event causes is owed whole, since a refund before it may be refused",
        CallOffSparesWhatLeft = "what has left is not called off, even if it left after that was asked for",
        CalledOffRefunded = "what is called off is refunded",
        CalledOffCounts = "an order awaits nothing more of what was called off",
        CalledOffAwaitsRefund = "an order of which a part was called off completes once that is refunded",
        LookedUpWhileItWaits = "while a customer is waited for, their intent is looked up",
        LookedUpBeforeItIsEnded = "a customer's intent is looked up before it is ended: if they acted, they have bought",
        OvertakenRefundLooksUp = "what a gateway refuses to refund is looked up there: what went back is booked, what remains is asked for",
        CapturedIsNotVoided = "what somebody else has captured is refunded where it was to be voided",
        AddressDecidedByStock = "where a parcel goes that may have left is stock-svc's to decide",
        LeftAddressesStay = "what has left goes where it was sent",
        LeftAddressesAreTold = "what has left before its address changed is told",
        ForgottenAddressesGo = "the warehouse keeps no address of whoever is forgotten",
        ForgottenWishesGo = "an address that was asked for is forgotten with the customer",
    }
}

impl Sabotage {
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
            Self::ForgottenAddressesGo | Self::ForgottenWishesGo => play.forgets,
            _ => true,
        }
    }
}

impl fmt::Display for Sabotage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule())
    }
}
