//! What order-svc and stock-svc report, and what follows for the money. It is undone only on stock-svc's word.

use std::time::Duration;

use chrono::{DateTime, Utc};
use shared_events::{
    Money, PaymentEvent, PaymentVoided, RefundId, Rejection, RestockCause, ShipmentLost, StockLine, StockReserved,
    StockRestocked,
};

use super::refunds::{Share, price_of};
use super::{Call, Charge, Payment, Refused, State, Transition};

impl Payment {
    /// `order.placed`: notes amount and method and waits for the goods. A tombstone is answered now that the currency
    /// is known. Refused if it was noted before.
    pub fn placed(&mut self, charge: Charge) -> Result<Transition, Refused> {
        if self.charge.is_some() {
            return Err(self.refused("note its order again"));
        }
        let nothing = Money::zero(charge.amount.currency());
        self.charge = Some(charge);
        Ok(match self.state {
            State::Tombstone => {
                self.state = State::Voided;
                Transition::say(self.voided(nothing))
            }
            _ => self.authorise_if_ready(),
        })
    }

    /// `stock.reserved`: the goods are held, so the gateway may be asked. The deadline counts from the event's own
    /// time, and never lies after the end of the hold. Refused if the payment no longer waits for it.
    pub fn reserved(
        &mut self,
        reserved: &StockReserved,
        said_at: DateTime<Utc>,
        patience: Duration,
    ) -> Result<Transition, Refused> {
        if self.state != State::New || self.hold.deadline.is_some() {
            return Err(self.refused("authorise"));
        }
        self.hold.deadline = Some((said_at + patience).min(reserved.expires_at));
        Ok(self.authorise_if_ready())
    }

    fn authorise_if_ready(&mut self) -> Transition {
        let ready =
            self.state == State::New && self.charge.is_some() && self.hold.deadline.is_some() && !self.hold.expired;
        if !ready {
            return Transition::nothing();
        }
        self.attempt()
    }

    pub(super) fn attempt(&mut self) -> Transition {
        self.state = State::Authorizing;
        self.attempts += 1;
        Transition::ask(Call::Authorise)
    }

    /// `order.confirmed`: captures what is authorised. Refused if nothing is: it was undone first.
    pub fn confirmed(&mut self) -> Result<Transition, Refused> {
        if self.state != State::Authorized {
            return Err(self.refused("capture"));
        }
        self.state = State::Capturing;
        Ok(Transition::ask(Call::Capture))
    }

    /// `stock.expired`: stops authorisations, never captures and never what is authorised. Refused if it was known.
    pub fn expired(&mut self) -> Result<Transition, Refused> {
        if self.hold.expired {
            return Err(self.refused("expire again"));
        }
        self.hold.expired = true;
        Ok(if self.state == State::Authorizing { Transition::hasten() } else { Transition::nothing() })
    }

    /// `stock.rejected {shortages}`: there will be no goods and there was no money, so the payment is closed.
    /// `{expired}` closes nothing: those goods were held once, and money follows `stock.released`. Refused if the
    /// payment no longer waits, or the hold had expired.
    pub fn rejected(&mut self, rejection: &Rejection) -> Result<Transition, Refused> {
        match (rejection, self.state) {
            (Rejection::Shortages { .. }, State::New) => {
                self.state = State::Closed;
                Ok(Transition::nothing())
            }
            (Rejection::Shortages { .. }, _) => Err(self.refused("close")),
            (Rejection::Expired, _) => Err(self.refused("close before stock.released")),
        }
    }

    /// `stock.released`: nothing is held for the order any more, so all of the money goes back. `cause` is the refund's
    /// id, should one be needed. Refused if there is nothing to undo.
    pub fn released(&mut self, cause: RefundId) -> Result<Transition, Refused> {
        self.undo(cause, Share::All)
    }

    /// `stock.restocked`: goods are back on the shelf, and the price of their lines goes back. `cause` is the refund's
    /// id, should one be needed. Refused if there is nothing to undo, or if a line was never ordered.
    pub fn restocked(&mut self, cause: RefundId, restocked: &StockRestocked) -> Result<Transition, Refused> {
        match restocked.cause {
            RestockCause::Cancelled => self.restocked_by_cancel(cause, &restocked.lines),
            RestockCause::Returned => self.refund_lines(cause, &restocked.lines, "refund a return"),
            RestockCause::CalledOff => self.refund_lines(cause, &restocked.lines, "refund what was called off"),
        }
    }

    /// They never left, so all of their money is undone.
    fn restocked_by_cancel(&mut self, cause: RefundId, lines: &[StockLine]) -> Result<Transition, Refused> {
        let share = match &self.charge {
            Some(charge) => Share::Of(price_of(charge, lines)?),
            None => Share::All,
        };
        self.undo(cause, share)
    }

    /// `shipment.lost`: the price of the lost lines goes back. `cause` is the refund's id. Refused if nothing is
    /// captured, or if a line was never ordered.
    pub fn lost(&mut self, cause: RefundId, lost: &ShipmentLost) -> Result<Transition, Refused> {
        self.refund_lines(cause, &lost.lines, "refund a loss")
    }

    /// Refunds lines that came back, were lost, or can't leave any more, out of what was captured.
    fn refund_lines(
        &mut self,
        cause: RefundId,
        lines: &[StockLine],
        wanted: &'static str,
    ) -> Result<Transition, Refused> {
        match (&self.charge, self.state) {
            (Some(charge), State::Captured) => {
                let price = price_of(charge, lines)?;
                self.owe(cause, Share::Of(price));
                Ok(self.next_refund())
            }
            _ => Err(self.refused(wanted)),
        }
    }

    fn undo(&mut self, cause: RefundId, share: Share) -> Result<Transition, Refused> {
        match self.state {
            State::New => Ok(self.never_started()),
            State::Authorizing => {
                self.void_requested = true;
                Ok(Transition::hasten())
            }
            State::WaitingToRetry | State::ActionRequired => {
                self.void_requested = true;
                Ok(self.close())
            }
            // the intent is being ended anyway; from now on its customer's money is not awaited either
            State::Closing if !self.void_requested => {
                self.void_requested = true;
                Ok(Transition::nothing())
            }
            State::Authorized | State::CaptureFailed => Ok(self.void()),
            State::Capturing => {
                // written now, asked for once the capture is answered; moot if that fails
                self.void_requested = true;
                self.owe(cause, share);
                Ok(Transition::hasten())
            }
            State::Captured => {
                self.owe(cause, share);
                Ok(self.next_refund())
            }
            State::Tombstone | State::Closed | State::Closing | State::Voiding | State::Voided | State::Declined => {
                Err(self.refused("undo"))
            }
        }
    }

    /// Closes what never reached the gateway. Before the order is heard of, only a tombstone can be left.
    pub(super) fn never_started(&mut self) -> Transition {
        let Some(charge) = &self.charge else {
            self.state = State::Tombstone;
            return Transition::nothing();
        };
        let nothing = Money::zero(charge.amount.currency());
        self.state = State::Voided;
        Transition::say(self.voided(nothing))
    }

    pub(super) fn void(&mut self) -> Transition {
        self.state = State::Voiding;
        Transition::ask(Call::Void)
    }

    pub(super) fn voided(&self, amount: Money) -> PaymentEvent {
        PaymentEvent::Voided(PaymentVoided { order_id: self.order_id, payment_id: self.id, amount })
    }
}
