//! What somebody else did at the gateway: a refund, capture or cancellation in its dashboard, or a dispute by the
//! customer's bank. It is looked up there, and entered once under the gateway's own name.

use sha2::{Digest, Sha256};
use shared_events::{
    Money, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentEvent, PaymentRefunded, RefundId,
};
use uuid::Builder;

use super::{Call, Origin, Payment, Refund, RefundState, Refused, State, Transition, refunds::Share};

/// A refund at the gateway that we did not ask for: the gateway's name for it, and its amount.
pub type Elsewhere = (String, Money);

/// Why nothing was captured if somebody else has captured less than the total: an order is not paid in part.
pub const CAPTURED_IN_PART: &str = "captured_in_part";

/// The id of a refund that we did not ask for, derived from the gateway's name for it. It is a UUID of version 8, which
/// tells it from those of events (5) and of staff (7).
pub fn refund_made_elsewhere(name: &str) -> RefundId {
    let digest = Sha256::digest(format!("refund at the gateway: {name}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    RefundId(Builder::from_custom_bytes(bytes).into_uuid())
}

impl Payment {
    /// Somebody else refunded a part of what was captured, or a dispute took it. Queued refunds are cut to what remains
    /// when they begin, by [`Self::next_refund`]. If a dispute takes more than is left, what is left is entered, and the
    /// refund shows the rest. Refused if it is known, if nothing is captured, or while a refund is being asked for,
    /// whose answer comes first.
    pub fn given_back_elsewhere(&mut self, name: &str, amount: Money) -> Result<Transition, Refused> {
        let asked = self.refunds.iter().any(|refund| refund.state == RefundState::Calling);
        if self.state != State::Captured || asked {
            return Err(self.refused("enter a refund made elsewhere"));
        }
        self.enter(name, amount)
    }

    fn enter(&mut self, name: &str, amount: Money) -> Result<Transition, Refused> {
        let id = refund_made_elsewhere(name);
        let (false, Some(left)) = (self.refunds.iter().any(|known| known.id == id), self.left()) else {
            return Err(self.refused("enter a refund again"));
        };
        let wanted = amount;
        let amount = if wanted.amount() <= left.amount() { wanted } else { left };
        let remaining = left.checked_sub(amount).ok_or_else(|| self.refused("enter a refund made elsewhere"))?;
        let (order_id, payment_id, state) = (self.order_id, self.id, RefundState::Done);
        self.refunds.push(Refund { id, amount, wanted, state, origin: Origin::Elsewhere(name.to_owned()) });
        if amount.is_zero() {
            return Ok(Transition::nothing());
        }
        let refunded = PaymentRefunded { order_id, payment_id, refund_id: id, amount, remaining };
        Ok(Transition::say(PaymentEvent::Refunded(refunded)).moved(Call::Refund(id), amount))
    }

    /// The gateway refused a refund and had given back money that was not known here. That is entered; then what remains
    /// is asked for under a new key, since the old one stands for another amount. If the refund would have fitted
    /// anyway, it is refused.
    pub(super) fn overtaken(
        &mut self,
        id: RefundId,
        code: String,
        elsewhere: &[Elsewhere],
    ) -> Result<Transition, Refused> {
        let not_waiting = self.refused("take this reply");
        let asked = |refund: &&mut Refund| refund.id == id && refund.state == RefundState::Calling;
        let refund = self.refunds.iter_mut().find(asked).ok_or_else(|| not_waiting.clone())?;
        refund.state = RefundState::Queued;
        let wanted = refund.amount;
        let mut step = Transition::nothing();
        for (name, amount) in elsewhere {
            let entered = self.enter(name, *amount)?;
            step.events.extend(entered.events);
            step.moved.extend(entered.moved);
        }
        let left = self.left().ok_or_else(|| not_waiting.clone())?;
        let refund = self.refunds.iter_mut().find(|refund| refund.id == id).ok_or(not_waiting)?;
        if wanted.amount() <= left.amount() {
            refund.state = RefundState::Calling;
            let refused = self.refund_answered(id, super::GatewayReply::No { code })?;
            return Ok(step.then(refused));
        }
        refund.was_overtaken();
        if left.is_zero() {
            refund.state = RefundState::Moot;
            return Ok(step.then(self.next_refund()));
        }
        (refund.amount, refund.state) = (left, RefundState::Calling);
        Ok(step.then(Transition::ask(Call::Refund(id))))
    }

    /// Somebody else captured what is authorised; the order goes on as if it had been captured here. Refused unless it
    /// is authorised with no unfinished call: such a call finds out by itself.
    pub fn captured_elsewhere(&mut self) -> Result<Transition, Refused> {
        match (&self.charge, self.state) {
            (Some(charge), State::Authorized) => {
                let amount = charge.amount;
                Ok(self.captured_as(amount))
            }
            _ => Err(self.refused("enter a capture made elsewhere")),
        }
    }

    fn captured_as(&mut self, amount: Money) -> Transition {
        let (order_id, payment_id) = (self.order_id, self.id);
        self.state = State::Captured;
        let captured = PaymentCaptured { order_id, payment_id, amount };
        Transition::say(PaymentEvent::Captured(captured)).moved(Call::Capture, amount)
    }

    /// Somebody else cancelled the intent, so what was authorised can't be captured. It is voided when the goods are
    /// given back. Refused unless it is authorised with no unfinished call.
    pub fn cancelled_elsewhere(&mut self) -> Result<Transition, Refused> {
        if self.state != State::Authorized {
            return Err(self.refused("enter a cancellation made elsewhere"));
        }
        Ok(self.can_not_be_captured("canceled"))
    }

    /// Somebody else captured less than the total, so the rest can't be captured. The order is not paid, and nothing
    /// leaves; the part goes back when the goods are given back. Refused unless it is authorised with no unfinished
    /// call.
    pub fn captured_in_part_elsewhere(&mut self) -> Result<Transition, Refused> {
        if self.state != State::Authorized {
            return Err(self.refused("enter a capture in part made elsewhere"));
        }
        Ok(self.can_not_be_captured(CAPTURED_IN_PART))
    }

    fn can_not_be_captured(&mut self, code: &str) -> Transition {
        let (order_id, payment_id, code) = (self.order_id, self.id, code.to_owned());
        self.state = State::CaptureFailed;
        self.failure_code = Some(code.clone());
        Transition::say(PaymentEvent::CaptureFailed(PaymentCaptureFailed { order_id, payment_id, code }))
    }

    /// A part of what was to be let go of was captured by somebody else, and has gone back.
    pub(super) fn part_given_back(
        &mut self,
        amount: Money,
        captured: Money,
        refund: Option<(RefundId, Money)>,
    ) -> Result<Transition, Refused> {
        let rest = amount.checked_sub(captured).ok_or_else(|| self.refused("take this reply"))?;
        let ended = if self.state == State::Closing {
            self.closed().moved(Call::Authorise, amount)
        } else {
            self.state = State::Voided;
            Transition::say(self.voided(amount))
        };
        let moved = [(Call::Capture, captured), (Call::Void, rest)].into_iter();
        let moved = moved.chain(refund.map(|(id, amount)| (Call::Refund(id), amount)));
        let moved = moved.filter(|(_, amount)| !amount.is_zero());
        Ok(moved.fold(ended, |step, (call, amount)| step.moved(call, amount)))
    }

    /// What was to be let go of was captured by somebody else: it is refunded if the goods are given back; otherwise
    /// the order is paid.
    pub(super) fn captured_instead_of_let_go(&mut self, refund: RefundId, amount: Money) -> Transition {
        let (order_id, payment_id) = (self.order_id, self.id);
        let (unheard, undone) = match self.state {
            State::Closing => (true, self.void_requested),
            _ => (false, true),
        };
        let captured = self.captured_as(amount);
        let mut step =
            if unheard { Transition::nothing().moved(Call::Authorise, amount) } else { Transition::nothing() };
        if unheard && !undone {
            let authorized = PaymentAuthorized { order_id, payment_id, amount };
            step.events.push(PaymentEvent::Authorized(authorized));
            self.failure_code = None;
        }
        step.events.extend(captured.events);
        step.moved.extend(captured.moved);
        if undone {
            self.owe(refund, Share::All);
        }
        step.then(self.next_refund())
    }
}
