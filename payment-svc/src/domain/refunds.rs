//! What goes back of what was captured: the sum of refunds never exceeds it.

use shared_events::{Money, PaymentEvent, PaymentRefundFailed, PaymentRefunded, RefundId, StockLine};
use uuid::Uuid;

use super::{Call, Charge, Payment, Refused, State, Transition};

/// Written before the gateway is called, and never deleted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refund {
    /// Its id, which is its key at the gateway: the UUIDv5 of the event that caused it.
    pub id: RefundId,
    /// What its cause asks for while it is queued; once the gateway is asked, no more than remained then.
    pub amount: Money,
    /// What its cause asks for, less what another refund has taken over. More than `amount` if it was cut. If it was
    /// made elsewhere, all that the gateway has taken, which may be more than was left.
    pub wanted: Money,
    pub state: RefundState,
    pub origin: Origin,
}

impl Refund {
    fn queued(id: RefundId, amount: Money) -> Self {
        Self { id, amount, wanted: amount, state: RefundState::Queued, origin: Origin::Ours }
    }

    /// Its key at the gateway, the same over all retries. The gateway repeats a refusal for as long as it keeps the
    /// key, so after each answered refusal there is another key.
    pub fn key(&self) -> String {
        match &self.origin {
            Origin::Ours | Origin::Outside => self.id.to_string(),
            Origin::Cut { refusals: 0 | 1 } => format!("{}:{}", self.id, self.amount.amount()),
            Origin::Cut { refusals } => format!("{}:{}:{refusals}", self.id, self.amount.amount()),
            Origin::Elsewhere(name) => name.clone(),
        }
    }

    /// The gateway refused it because more had gone back than was known.
    pub(super) fn was_overtaken(&mut self) {
        let refusals = match self.origin {
            Origin::Cut { refusals } => refusals.saturating_add(1),
            _ => 1,
        };
        self.origin = Origin::Cut { refusals };
    }

    /// What a refund made elsewhere took beyond what was captured.
    pub fn beyond_captured(&self) -> Option<Money> {
        let is_theirs = self.state == RefundState::Done && matches!(self.origin, Origin::Elsewhere(_));
        self.wanted.checked_sub(self.amount).filter(|beyond| is_theirs && !beyond.is_zero())
    }

    /// What was cut off and not taken over by another refund; none if staff asked for it, since they can ask again.
    fn cut_off(&self) -> Option<Money> {
        let is_open = self.id.is_caused() && self.state != RefundState::Queued;
        self.wanted.checked_sub(self.amount).filter(|rest| is_open && !rest.is_zero())
    }

    /// Whether the gateway has made it, as far as is known. One that was paid past the gateway, it has not.
    pub fn is_made_at_gateway(&self) -> bool {
        self.state == RefundState::Done && self.origin != Origin::Outside
    }
}

/// Who made a refund, which says what the gateway knows it by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// We ask for it, under its id.
    Ours,
    /// We asked for more than remained at the gateway, and now ask for the rest, under its id and its amount.
    Cut {
        /// How often the gateway has refused it for that reason; at least 1.
        refusals: u32,
    },
    /// Somebody else or a dispute made it; the gateway has this name for it.
    Elsewhere(String),
    /// The gateway refused it, or it came back, and staff paid past the gateway, as by bank transfer.
    Outside,
}

shared_events::named! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum RefundState: as_str {
        /// Waits for the unfinished call before it.
        Queued = "queued",
        Calling = "calling",
        /// The money is back.
        Done = "done",
        /// The gateway refused, or the customer's bank returned it later: somebody must look.
        Failed = "failed",
        /// Nothing was left to give back: the capture failed, or refunds before it in the queue took everything. If an
        /// event caused it, it is queued again once money comes back.
        Moot = "moot",
    }
}

impl RefundState {
    const fn takes(self) -> bool {
        matches!(self, Self::Calling | Self::Done)
    }

    const fn may_take(self) -> bool {
        self.takes() || matches!(self, Self::Queued)
    }
}

/// The id of the refund for what was cut off another: always the same.
fn rest_of(refund: RefundId) -> RefundId {
    RefundId(Uuid::new_v5(&refund.0, b"rest"))
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Share {
    All,
    Of(Money),
}

/// What `lines` cost when they were ordered.
pub(super) fn price_of(charge: &Charge, lines: &[StockLine]) -> Result<Money, Refused> {
    let mut sum = Money::zero(charge.amount.currency());
    for line in lines {
        let price = charge
            .lines
            .iter()
            .find(|ordered| ordered.sku == line.sku)
            .and_then(|ordered| ordered.unit_price.checked_times(line.quantity))
            .and_then(|price| sum.checked_add(price));
        sum = price.ok_or_else(|| Refused::NotOrdered { sku: line.sku.clone() })?;
    }
    Ok(sum)
}

impl Payment {
    /// What has gone back so far.
    pub fn refunded(&self) -> Option<Money> {
        self.sum(|state| state == RefundState::Done)
    }

    /// Staff give money back. Refused if nothing is captured, or less than that remains.
    pub fn refund(&mut self, id: RefundId, amount: Money) -> Result<Transition, Refused> {
        let (State::Captured, Some(remaining)) = (self.state, self.remaining()) else {
            return Err(self.refused("refund"));
        };
        let known = self.refunds.iter().any(|refund| refund.id == id);
        if !known && remaining.checked_sub(amount).is_none() {
            return Err(Refused::MoreThanRemains { wanted: amount, remaining });
        }
        self.owe(id, Share::Of(amount));
        Ok(self.next_refund())
    }

    /// Staff have paid past the gateway a refund that it refused or that came back, which ends the refund. Refused
    /// unless it has failed, and if less than its amount remains by now.
    pub fn settle_outside(&mut self, id: RefundId) -> Result<Transition, Refused> {
        let (unknown, remaining) = (self.refused("settle a refund"), self.remaining());
        let (Some(remaining), Some(refund)) = (remaining, self.refunds.iter_mut().find(|refund| refund.id == id))
        else {
            return Err(unknown);
        };
        if refund.state != RefundState::Failed {
            return Err(Refused::RefundNotFailed { state: refund.state.as_str() });
        }
        let amount = refund.amount;
        if remaining.checked_sub(amount).is_none() {
            return Err(Refused::MoreThanRemains { wanted: amount, remaining });
        }
        (refund.state, refund.origin) = (RefundState::Done, Origin::Outside);
        let remaining = self.unrefunded().ok_or(unknown)?;
        let (order_id, payment_id, refund_id) = (self.order_id, self.id, id);
        let refunded = PaymentRefunded { order_id, payment_id, refund_id, amount, remaining };
        Ok(Transition { outside: Some((id, amount)), ..Transition::say(PaymentEvent::Refunded(refunded)) })
    }

    /// A refund could not reach the customer after all, or a dispute was won: its money is ours again. Refunds that
    /// events caused and that found no money left are queued again. Once all that came back or was given back elsewhere
    /// is entered, the caller begins the next one with [`Self::next_refund`]. Refused unless it is done: its call is
    /// unanswered, or it has failed before.
    pub fn refund_came_back(&mut self, id: RefundId, code: String) -> Result<Transition, Refused> {
        let not_done = self.refused("take a refund back");
        let done = |refund: &&mut Refund| refund.id == id && refund.is_made_at_gateway();
        let refund = self.refunds.iter_mut().find(done).ok_or(not_done)?;
        refund.state = RefundState::Failed;
        let (order_id, payment_id, amount) = (self.order_id, self.id, refund.amount);
        let mut step = Transition::nothing();
        if !amount.is_zero() {
            let failed = PaymentRefundFailed { order_id, payment_id, refund_id: id, amount, code };
            step = Transition { came_back: Some((id, amount)), ..Transition::say(PaymentEvent::RefundFailed(failed)) };
        }
        self.make_good(&mut step);
        self.revive_displaced_refunds();
        Ok(step)
    }

    /// Enters what the gateway had taken beyond what was captured, as far as there is money for it again.
    fn make_good(&mut self, step: &mut Transition) {
        let (order_id, payment_id) = (self.order_id, self.id);
        for n in 0..self.refunds.len() {
            let (Some(left), Some(beyond)) = (self.left(), self.refunds[n].beyond_captured()) else { continue };
            let amount = if beyond.amount() < left.amount() { beyond } else { left };
            let Some(entered) = self.refunds[n].amount.checked_add(amount).filter(|_| !amount.is_zero()) else {
                continue;
            };
            self.refunds[n].amount = entered;
            let Some(remaining) = self.unrefunded() else { continue };
            let refund_id = self.refunds[n].id;
            let refunded = PaymentRefunded { order_id, payment_id, refund_id, amount, remaining };
            step.events.push(PaymentEvent::Refunded(refunded));
            step.made_good.push((refund_id, amount));
        }
    }

    /// What of the total has not gone back.
    pub(super) fn unrefunded(&self) -> Option<Money> {
        let amount = self.charge.as_ref().map(|charge| charge.amount)?;
        amount.checked_sub(self.refunded()?)
    }

    /// What of the total nothing claims: neither given back, nor being given back, nor queued. Queued refunds are
    /// stored uncut, so their sum can exceed what was captured.
    fn remaining(&self) -> Option<Money> {
        let amount = self.charge.as_ref().map(|charge| charge.amount)?;
        let left = self.sum(RefundState::may_take).and_then(|claimed| amount.checked_sub(claimed));
        Some(left.unwrap_or(Money::zero(amount.currency())))
    }

    /// What of the total is neither given back nor asked of the gateway.
    pub(super) fn left(&self) -> Option<Money> {
        let amount = self.charge.as_ref().map(|charge| charge.amount)?;
        amount.checked_sub(self.sum(RefundState::takes)?)
    }

    fn sum(&self, counts: impl Fn(RefundState) -> bool) -> Option<Money> {
        let nothing = Money::zero(self.charge.as_ref()?.amount.currency());
        let counted = self.refunds.iter().filter(|refund| counts(refund.state));
        counted.map(|refund| refund.amount).try_fold(nothing, Money::checked_add)
    }

    /// Queues a refund of `share`, uncut: those before it in the queue may be refused, so nobody knows yet what will
    /// remain. A known refund is not queued again.
    pub(super) fn owe(&mut self, id: RefundId, share: Share) {
        let Some(total) = self.charge.as_ref().map(|charge| charge.amount) else { return };
        let amount = match share {
            Share::Of(wanted) if wanted.amount() < total.amount() => wanted,
            Share::Of(_) | Share::All => total,
        };
        if !amount.is_zero() && self.refunds.iter().all(|known| known.id != id) {
            self.refunds.push(Refund::queued(id, amount));
        }
    }

    /// Money has come back, so refunds that events caused are owed again: whole if nothing had been left for them,
    /// otherwise what was cut off, as a refund of its own. Staff can ask again themselves.
    fn revive_displaced_refunds(&mut self) {
        for place in 0..self.refunds.len() {
            let refund = &mut self.refunds[place];
            if refund.state == RefundState::Moot && refund.id.is_caused() {
                (refund.state, refund.amount) = (RefundState::Queued, refund.wanted);
            } else if let Some(rest) = refund.cut_off() {
                refund.wanted = refund.amount;
                let whole = refund.id;
                let id = self.free_id_after(whole);
                self.refunds.push(Refund::queued(id, rest));
            }
        }
    }

    /// A free id for the rest of a refund. A refund can be cut again after a rest was split off, which has the first
    /// id.
    fn free_id_after(&self, refund: RefundId) -> RefundId {
        let mut id = rest_of(refund);
        while self.refunds.iter().any(|known| known.id == id) {
            id = rest_of(id);
        }
        id
    }

    /// Begins the next refund, cut to what is left, unless a call is unfinished. Once nothing is left, queued
    /// refunds are closed silently, since the last that was done has announced that nothing remains.
    pub fn next_refund(&mut self) -> Transition {
        let busy = self.refunds.iter().any(|refund| refund.state == RefundState::Calling);
        let (false, State::Captured, Some(left)) = (busy, self.state, self.left()) else {
            return Transition::nothing();
        };
        if left.is_zero() {
            self.drop_queued_refunds();
        }
        match self.refunds.iter_mut().find(|refund| refund.state == RefundState::Queued) {
            Some(next) => {
                if left.amount() < next.amount.amount() {
                    next.amount = left;
                }
                next.state = RefundState::Calling;
                Transition::ask(Call::Refund(next.id))
            }
            None => Transition::nothing(),
        }
    }

    pub(super) fn drop_queued_refunds(&mut self) {
        for refund in self.refunds.iter_mut().filter(|refund| refund.state == RefundState::Queued) {
            refund.state = RefundState::Moot;
        }
    }
}
