//! What somebody else did at the gateway, as in its dashboard: gave money back, captured, cancelled; or the customer's bank
//! took money back by a dispute. It is looked up there before it is heard here, and booked once under the gateway's own name.

use sha2::{Digest, Sha256};
use shared_events::{
    Money, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentEvent, PaymentRefunded, RefundId,
};
use uuid::Builder;

use super::{Call, Origin, Payment, Refund, RefundState, Refused, State, Transition, refunds::Share};

/// What the gateway has given back without being asked by us: its name for it, and how much.
pub type Elsewhere = (String, Money);

/// Why nothing was captured, where somebody else has captured less than the total: an order is not paid in part.
pub const CAPTURED_IN_PART: &str = "captured_in_part";

/// The id of a refund that the gateway knows by this name and that we did not ask for: always the same. It is a UUID of
/// version 8, so that nobody takes it for one of an event (5) or of staff's (7).
pub fn refund_made_elsewhere(name: &str) -> RefundId {
    let digest = Sha256::digest(format!("refund at the gateway: {name}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    RefundId(Builder::from_custom_bytes(bytes).into_uuid())
}

impl Payment {
    /// Somebody else gave back some of what was captured, or a dispute took it. What waits to be given back is cut to what
    /// then remains, when the caller begins it with [`Self::next_refund`]. Where it took more than is left of what was
    /// captured, as a dispute can, what is left is booked, and the refund shows the rest.
    ///
    /// # Errors
    /// It is known; nothing is captured; or a refund is being asked for, whose answer comes first.
    pub fn given_back_elsewhere(&mut self, name: &str, amount: Money) -> Result<Transition, Refused> {
        let asked = self.refunds.iter().any(|refund| refund.state == RefundState::Calling);
        if self.state != State::Captured || asked {
            return Err(self.refused("book a refund made elsewhere"));
        }
        self.book(name, amount)
    }

    fn book(&mut self, name: &str, amount: Money) -> Result<Transition, Refused> {
        let id = refund_made_elsewhere(name);
        let (false, Some(left)) = (self.refunds.iter().any(|known| known.id == id), self.left()) else {
            return Err(self.refused("book a refund again"));
        };
        let wanted = amount;
        let amount = if wanted.amount() <= left.amount() { wanted } else { left };
        let remaining = left.checked_sub(amount).ok_or_else(|| self.refused("book a refund made elsewhere"))?;
        let (order_id, payment_id, state) = (self.order_id, self.id, RefundState::Done);
        self.refunds.push(Refund { id, amount, wanted, state, origin: Origin::Elsewhere(name.to_owned()) });
        if amount.is_zero() {
            return Ok(Transition::nothing());
        }
        let refunded = PaymentRefunded { order_id, payment_id, refund_id: id, amount, remaining };
        Ok(Transition::say(PaymentEvent::Refunded(refunded)).moved(Call::Refund(id), amount))
    }

    /// The gateway has refused a refund, and had given money back that was not known here. That is booked; then what
    /// remains is asked for, under a key of its own, since the old one stands for another amount. Where the refund would
    /// have fitted all the same, it is refused.
    pub(super) fn overtaken(
        &mut self,
        id: RefundId,
        code: String,
        elsewhere: &[Elsewhere],
    ) -> Result<Transition, Refused> {
        let not_waiting = self.refused("take this answer");
        let asked = |refund: &&mut Refund| refund.id == id && refund.state == RefundState::Calling;
        let refund = self.refunds.iter_mut().find(asked).ok_or_else(|| not_waiting.clone())?;
        refund.state = RefundState::Queued;
        let wanted = refund.amount;
        let mut step = Transition::nothing();
        for (name, amount) in elsewhere {
            let booked = self.book(name, *amount)?;
            step.events.extend(booked.events);
            step.moved.extend(booked.moved);
        }
        let left = self.left().ok_or_else(|| not_waiting.clone())?;
        let refund = self.refunds.iter_mut().find(|refund| refund.id == id).ok_or(not_waiting)?;
        if wanted.amount() <= left.amount() {
            refund.state = RefundState::Calling;
            let refused = self.refund_answered(id, super::Answer::No { code })?;
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

    /// Somebody else captured what is authorised. The order goes on as if it had been captured here.
    ///
    /// # Errors
    /// It isn't authorised and at rest: a call that is unfinished finds it by itself.
    pub fn captured_elsewhere(&mut self) -> Result<Transition, Refused> {
        match (&self.charge, self.state) {
            (Some(charge), State::Authorized) => {
                let amount = charge.amount;
                Ok(self.captured_as(amount))
            }
            _ => Err(self.refused("book a capture made elsewhere")),
        }
    }

    fn captured_as(&mut self, amount: Money) -> Transition {
        let (order_id, payment_id) = (self.order_id, self.id);
        self.state = State::Captured;
        let captured = PaymentCaptured { order_id, payment_id, amount };
        Transition::say(PaymentEvent::Captured(captured)).moved(Call::Capture, amount)
    }

    /// Somebody else cancelled the intent, so that what was authorised can't be taken any more. It is voided when the goods
    /// are given back.
    ///
    /// # Errors
    /// It isn't authorised and at rest.
    pub fn cancelled_elsewhere(&mut self) -> Result<Transition, Refused> {
        if self.state != State::Authorized {
            return Err(self.refused("book a cancellation made elsewhere"));
        }
        Ok(self.can_not_be_captured("canceled"))
    }

    /// Somebody else captured less than the total, so that the rest can't be taken any more. The order is not paid, and
    /// nothing leaves; the part goes back when the goods are given back.
    ///
    /// # Errors
    /// It isn't authorised and at rest.
    pub fn captured_in_part_elsewhere(&mut self) -> Result<Transition, Refused> {
        if self.state != State::Authorized {
            return Err(self.refused("book a capture in part made elsewhere"));
        }
        Ok(self.can_not_be_captured(CAPTURED_IN_PART))
    }

    fn can_not_be_captured(&mut self, code: &str) -> Transition {
        let (order_id, payment_id, code) = (self.order_id, self.id, code.to_owned());
        self.state = State::CaptureFailed;
        self.failure_code = Some(code.clone());
        Transition::say(PaymentEvent::CaptureFailed(PaymentCaptureFailed { order_id, payment_id, code }))
    }

    /// What was to be let go of turns out to be captured in part by somebody else, and has gone back.
    pub(super) fn part_given_back(
        &mut self,
        amount: Money,
        captured: Money,
        refund: Option<(RefundId, Money)>,
    ) -> Result<Transition, Refused> {
        let rest = amount.checked_sub(captured).ok_or_else(|| self.refused("take this answer"))?;
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

    /// What was to be let go of turns out to be captured by somebody else: all of it is refunded where the goods are given
    /// back, and else the order is paid for.
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
