//! What goes back of what was captured. The sum of refunds never exceeds it.

use shared_events::{EventId, Money, PaymentEvent, PaymentRefundFailed, PaymentRefunded, RefundId, StockLine};
use uuid::Uuid;

use super::{Call, Charge, Payment, Refused, State, Transition};

/// One refund. Written before the gateway is called, and never deleted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refund {
    /// Its id, which is its key at the gateway: the UUIDv5 of the event that caused it.
    pub id: RefundId,
    /// How much: what its cause asks for while it waits, and from when the gateway is asked no more than remained then.
    pub amount: Money,
    /// What its cause asks for, less what another refund has taken over of that. More than `amount` where it was cut. Of one
    /// that was made elsewhere all that the gateway has taken, which may be more than was left.
    pub wanted: Money,
    /// How far it is.
    pub state: RefundState,
    /// Who made it.
    pub origin: Origin,
}

impl Refund {
    /// One that waits for its turn.
    fn queued(id: RefundId, amount: Money) -> Self {
        Self { id, amount, wanted: amount, state: RefundState::Queued, origin: Origin::Ours }
    }

    /// Its key at the gateway: the same over every retry. The gateway repeats a refusal for as long as it keeps the key, so
    /// each answered refusal is followed by another key.
    pub fn key(&self) -> String {
        match &self.origin {
            Origin::Ours | Origin::Outside => self.id.to_string(),
            Origin::Cut { refusals: 0 | 1 } => format!("{}:{}", self.id, self.amount.amount()),
            Origin::Cut { refusals } => format!("{}:{}:{refusals}", self.id, self.amount.amount()),
            Origin::Elsewhere(name) => name.clone(),
        }
    }

    /// The gateway has refused it, since more had gone back than was known.
    pub(super) fn was_overtaken(&mut self) {
        let refusals = match self.origin {
            Origin::Cut { refusals } => refusals.saturating_add(1),
            _ => 1,
        };
        self.origin = Origin::Cut { refusals };
    }

    /// What somebody else's took beyond what was captured.
    pub fn beyond_captured(&self) -> Option<Money> {
        let is_theirs = self.state == RefundState::Done && matches!(self.origin, Origin::Elsewhere(_));
        self.wanted.checked_sub(self.amount).filter(|beyond| is_theirs && !beyond.is_zero())
    }

    /// What was cut off it, and no other refund has taken over: nothing where staff asked for it, who can ask again.
    fn cut_off(&self) -> Option<Money> {
        let is_open = self.id.is_caused() && self.state != RefundState::Queued;
        self.wanted.checked_sub(self.amount).filter(|rest| is_open && !rest.is_zero())
    }

    /// Whether the gateway has made it, as far as is known: what was given back outside of it, it has not.
    pub fn is_made_at_gateway(&self) -> bool {
        self.state == RefundState::Done && self.origin != Origin::Outside
    }
}

/// Who made a refund, which says what the gateway knows it by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// We ask for it, under its id.
    Ours,
    /// We asked for more than had remained at the gateway, and ask for the rest, under its id and its amount.
    Cut {
        /// How often the gateway has refused it for that reason, 1 at least.
        refusals: u32,
    },
    /// Somebody else made it there, or a dispute did; the gateway has this name for it.
    Elsewhere(String),
    /// The gateway refused it, or it came back, and staff gave the money back past the gateway, as by bank transfer.
    Outside,
}

/// How far a refund is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefundState {
    /// Waits for the unfinished call before it.
    Queued,
    /// The gateway is asked.
    Calling,
    /// The money is back.
    Done,
    /// The gateway refused, or the customer's bank gave it back later; somebody must look.
    Failed,
    /// There was nothing to give back after all: the capture that it waited for failed, or what was before it in the
    /// queue gave everything back. Where an event caused it, it waits again once some of that comes back.
    Moot,
}

impl RefundState {
    const ALL: [RefundState; 5] = [Self::Queued, Self::Calling, Self::Done, Self::Failed, Self::Moot];

    /// As it stands in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Calling => "calling",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Moot => "moot",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    const fn takes(self) -> bool {
        matches!(self, Self::Calling | Self::Done)
    }

    const fn may_take(self) -> bool {
        self.takes() || matches!(self, Self::Queued)
    }
}

/// The id of the refund that an event causes: the same however often the event is heard.
pub fn refund_because_of(event: EventId) -> RefundId {
    RefundId::because_of(event)
}

/// The id of the refund that gives back what was cut off another: always the same, and an event has caused it too.
fn rest_of(refund: RefundId) -> RefundId {
    RefundId(Uuid::new_v5(&refund.0, b"rest"))
}

/// How much of a payment goes back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Share {
    /// The total.
    All,
    /// So much.
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

    /// Staff give money back.
    ///
    /// # Errors
    /// Nothing is captured, or less than that remains.
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

    /// Staff have given back past the gateway what it has refused to give back, or what came back: that ends the refund.
    ///
    /// # Errors
    /// It has not failed: its answer is still awaited, or it was made; or less than that remains by now.
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

    /// The gateway had made the refund and could not bring it to the customer after all, or a dispute was won: its money is
    /// ours again. What events asked for and found no money left for waits again. Once all that has come back or was given
    /// back elsewhere is booked, the caller begins what waits with [`Self::next_refund`].
    ///
    /// # Errors
    /// It is not done: its call is unanswered yet, or it has failed before.
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

    /// What the gateway had taken beyond what was captured is booked, as far as there is money for it again.
    fn make_good(&mut self, step: &mut Transition) {
        let (order_id, payment_id) = (self.order_id, self.id);
        for n in 0..self.refunds.len() {
            let (Some(left), Some(beyond)) = (self.left(), self.refunds[n].beyond_captured()) else { continue };
            let amount = if beyond.amount() < left.amount() { beyond } else { left };
            let Some(booked) = self.refunds[n].amount.checked_add(amount).filter(|_| !amount.is_zero()) else {
                continue;
            };
            self.refunds[n].amount = booked;
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

    /// What of the total nothing claims: neither given back, nor about to be, nor waited for. Of what waits each is there
    /// whole, so that together they may claim more than there is.
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

    /// Writes down that `share` goes back, whole: what is before it in the queue may be refused, so nobody knows yet what
    /// will remain. A refund that is known is not written again.
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

    /// What events asked for is owed again, since money has come back: whole where there was nothing left for it, and else
    /// what was cut off, by a refund of its own. What staff asked for is theirs to ask again.
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

    /// The id of the rest of a refund. One can be cut again after a rest was split off, whose id is taken then.
    fn free_id_after(&self, refund: RefundId) -> RefundId {
        let mut id = rest_of(refund);
        while self.refunds.iter().any(|known| known.id == id) {
            id = rest_of(id);
        }
        id
    }

    /// Begins the next refund, unless a call is unfinished: never more than is left. Once nothing is, what still waits
    /// is closed without a word, since the last that was done has said that nothing remains.
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
