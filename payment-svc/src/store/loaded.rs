//! What a transaction works on: it is loaded once, decided about in memory, and saved once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::result::Error;
use outbox_relay::NewRow;
use service_kit::{retry, trace};
use shared_events::{Event, EventId, Money, OrderId, RefundId};

use super::calls::{self, NewCall, PutOff};
use super::ledger::NewEntry;
use super::look_ups;
use super::payments::Root;
use crate::domain::{Call, Payment, Refund, State, Transition};
use crate::outbox;

/// Because of which event something changes, and in which trace.
#[derive(Clone, Debug, Default)]
pub struct Causation {
    /// The event reacted to; none when a person, the gateway or a timer asked.
    pub event: Option<EventId>,
    /// The W3C trace context.
    pub traceparent: Option<String>,
}

impl Causation {
    /// In the trace of what is being done now, because of this event or of none.
    pub fn current(event: Option<EventId>) -> Self {
        Self { event, traceparent: trace::current_traceparent() }
    }
}

/// The payments that a transaction has locked, as decisions have left them in memory; and what is to be written of them.
/// What one event of a batch decides, the next one finds here.
#[derive(Debug)]
pub struct Loaded {
    /// The time of this transaction by the database's clock, which timers go by too.
    pub now: DateTime<Utc>,
    pub(super) roots: BTreeMap<OrderId, Root>,
    pub(super) changed: Changed,
    pub(super) calls: calls::Changes,
    pub(super) entries: Vec<NewEntry>,
    pub(super) look_ups: Vec<(OrderId, f64)>,
    pub(super) retries: Vec<(String, DateTime<Utc>)>,
    pub(super) announcements: Vec<NewRow>,
}

/// What differs from its row.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub payments: BTreeSet<OrderId>,
    pub charges: BTreeSet<OrderId>,
    pub refunds: BTreeSet<RefundId>,
}

impl Loaded {
    pub(super) fn new(now: DateTime<Utc>, roots: BTreeMap<OrderId, Root>) -> Self {
        Self {
            now,
            roots,
            changed: Changed::default(),
            calls: calls::Changes::default(),
            entries: Vec::new(),
            look_ups: Vec::new(),
            retries: Vec::new(),
            announcements: Vec::new(),
        }
    }

    /// The payment of an order.
    ///
    /// # Errors
    /// `NotFound` when it was not loaded.
    pub fn payment(&self, order_id: OrderId) -> QueryResult<&Payment> {
        Ok(&self.root(order_id)?.payment)
    }

    /// The key of the call that is unfinished.
    ///
    /// # Errors
    /// `NotFound` when the payment was not loaded.
    pub fn unfinished_call(&self, order_id: OrderId) -> QueryResult<Option<&str>> {
        Ok(self.root(order_id)?.unfinished_call.as_deref())
    }

    fn root(&self, order_id: OrderId) -> QueryResult<&Root> {
        self.roots.get(&order_id).ok_or(Error::NotFound)
    }

    /// Keeps what was decided about a payment: announces it, enters what was moved into the ledger, notes the next call to
    /// the gateway and the time of a retry.
    ///
    /// # Errors
    /// A second call while one is unfinished, which no decision makes. Nothing is changed then.
    pub fn apply(&mut self, payment: Payment, step: Transition, causation: &Causation) -> QueryResult<()> {
        let ended_as = if payment.state == State::Closing { "action_failed" } else { "done" };
        let ends = step.finishes.map(|_| ended_as);
        self.apply_answer(payment, step, causation, ends)
    }

    /// Keeps what was decided about a payment, as [`Self::apply`] does, and ends its unfinished call as this, if at all.
    ///
    /// # Errors
    /// Those of [`Self::apply`].
    pub fn apply_answer(
        &mut self,
        payment: Payment,
        step: Transition,
        causation: &Causation,
        ends: Option<&'static str>,
    ) -> QueryResult<()> {
        let order_id = payment.order_id;
        let before = self.root(order_id)?.clone();
        let mut root = Root { payment, ..before.clone() };
        let events: Vec<_> = step.events.iter().cloned().map(Event::Payment).collect();
        let announced = outbox::rows(&mut root, self.now, &events, causation)?;
        let ended = ends.and_then(|outcome| Some((root.unfinished_call.take()?, outcome)));
        if step.call.is_some() && root.unfinished_call.is_some() {
            return Err(Error::QueryBuilderError(format!("order {order_id} would have two unfinished calls").into()));
        }

        // nothing fails from here on
        if root.payment != before.payment || !events.is_empty() {
            self.changed.payments.insert(order_id);
        }
        if before.payment.charge.is_none() && root.payment.charge.is_some() {
            self.changed.charges.insert(order_id);
        }
        let is_new = |refund: &&Refund| !before.payment.refunds.contains(refund);
        self.changed.refunds.extend(root.payment.refunds.iter().filter(is_new).map(|refund| refund.id));
        self.enter(&root.payment, &step);
        self.calls.finished.extend(ended);
        if step.hastens {
            self.calls.hastened.extend(root.unfinished_call.clone());
        }
        if let Some(call) = step.call {
            let made = NewCall::of(&root.payment, call, causation);
            root.unfinished_call = Some(made.key.clone());
            self.calls.made.push(made);
        }
        if root.payment.state == State::ActionRequired {
            self.look_ups
                .push((order_id, retry::wait_after(0, look_ups::FIRST_WAIT, look_ups::LONGEST_WAIT).as_secs_f64()));
        }
        if let Some(wait) = step.retry_in {
            self.retries.push((order_id.to_string(), self.now + wait));
        }
        self.roots.insert(order_id, root);
        self.announcements.extend(announced);
        Ok(())
    }

    fn enter(&mut self, payment: &Payment, step: &Transition) {
        let moved = step.moved.iter().map(|(call, amount)| NewEntry::of_call(payment, *call, *amount));
        let came_back = step.came_back.iter().map(|(refund, amount)| NewEntry::reversal(payment, *refund, *amount));
        let made_good = step.made_good.iter().map(|(refund, amount)| NewEntry::made_good(payment, *refund, *amount));
        let outside = step.outside.iter().map(|(refund, amount)| NewEntry::outside(payment, *refund, *amount));
        self.entries.extend(moved.chain(came_back).chain(made_good).chain(outside));
    }

    /// Enters into the ledger what a call has moved, where it lacks that line.
    ///
    /// # Errors
    /// `NotFound` when the payment was not loaded.
    pub fn enter_missing(&mut self, order_id: OrderId, call: Call, amount: Money) -> QueryResult<()> {
        let entry = NewEntry::of_call(self.payment(order_id)?, call, amount);
        self.entries.push(entry);
        Ok(())
    }

    /// Has a call that a worker has taken made again later.
    pub fn put_off_call(&mut self, put_off: PutOff) {
        self.calls.put_off.push(put_off);
    }

    /// Makes the payment's unfinished call due, if there is one.
    ///
    /// # Errors
    /// `NotFound` when the payment was not loaded.
    pub fn hasten_call(&mut self, order_id: OrderId) -> QueryResult<()> {
        let key = self.root(order_id)?.unfinished_call.clone();
        self.calls.hastened.extend(key);
        Ok(())
    }
}
