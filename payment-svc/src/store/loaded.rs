//! The working set of a transaction: it is loaded once, changed in memory, and saved once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::result::Error;
use outbox_relay::NewRow;
use service_kit::{auth, retry, trace};
use shared_events::{Event, EventId, Money, OrderId, PaymentEvent, RefundId};
use uuid::Uuid;

use super::calls::{self, NewCall, PutOff};
use super::ledger::NewEntry;
use super::look_ups;
use super::payments::Root;
use crate::domain::{Call, Payment, Refund, State, Transition};
use crate::outbox;

/// What causes a change: which event, and in which trace.
#[derive(Clone, Debug, Default)]
pub struct Causation {
    /// The event reacted to; none when a person, the gateway or a timer asked.
    pub event: Option<EventId>,
    /// The W3C trace context.
    pub traceparent: Option<String>,
}

impl Causation {
    /// The current trace, and this event, or none.
    pub fn current(event: Option<EventId>) -> Self {
        Self { event, traceparent: trace::current_traceparent() }
    }
}

/// The payments that a transaction has locked, as decisions have left them, and what is to be written. Each event of a
/// batch sees what those before it decided.
#[derive(Debug)]
pub struct Loaded {
    /// The database's time of this transaction, which timers use too.
    pub now: DateTime<Utc>,
    pub(super) roots: BTreeMap<OrderId, Root>,
    pub(super) changed: Changed,
    pub(super) calls: calls::Changes,
    pub(super) entries: Vec<NewEntry>,
    pub(super) look_ups: Vec<(OrderId, f64)>,
    pub(super) retries: Vec<(String, DateTime<Utc>)>,
    pub(super) announcements: Vec<NewRow>,
    /// Orders whose customers are forgotten.
    pub(super) forgotten: Vec<Uuid>,
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
            forgotten: Vec::new(),
        }
    }

    /// Fails with `NotFound` if the payment was not loaded.
    pub fn payment(&self, order_id: OrderId) -> QueryResult<&Payment> {
        Ok(&self.root(order_id)?.payment)
    }

    /// The key of the unfinished call. Fails with `NotFound` if the payment was not loaded.
    pub fn unfinished_call(&self, order_id: OrderId) -> QueryResult<Option<&str>> {
        Ok(self.root(order_id)?.unfinished_call.as_deref())
    }

    fn root(&self, order_id: OrderId) -> QueryResult<&Root> {
        self.roots.get(&order_id).ok_or(Error::NotFound)
    }

    /// Applies a decision: announces its events, enters moved money into the ledger, and notes the next call and the
    /// time of a retry. Fails, and changes nothing, on a second call while one is unfinished, which no decision makes.
    pub fn apply(&mut self, payment: Payment, step: Transition, causation: &Causation) -> QueryResult<()> {
        let ended_as = if payment.state == State::Closing { "action_failed" } else { "done" };
        let ends = step.finishes.map(|_| ended_as);
        self.apply_answer(payment, step, causation, ends)
    }

    /// Like [`Self::apply`]; it also ends the unfinished call with the outcome `ends`, if there is one.
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
        let asked_by = step.events.iter().filter_map(PaymentEvent::refund).find_map(|refund| root.actors.get(&refund));
        let actor = auth::actor().or_else(|| asked_by.cloned());
        let announced = outbox::rows(&mut root, self.now, &events, causation, actor)?;
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

    /// Enters into the ledger what a call has moved, if that line is missing. Fails with `NotFound` if the payment was
    /// not loaded.
    pub fn enter_missing(&mut self, order_id: OrderId, call: Call, amount: Money) -> QueryResult<()> {
        let entry = NewEntry::of_call(self.payment(order_id)?, call, amount);
        self.entries.push(entry);
        Ok(())
    }

    /// Takes out what staff wrote about this order's refunds: it may name the customer.
    pub fn forget_texts(&mut self, order_id: OrderId) {
        self.forgotten.push(order_id.0);
    }

    /// Reschedules a taken call.
    pub fn put_off_call(&mut self, put_off: PutOff) {
        self.calls.put_off.push(put_off);
    }

    /// Makes the payment's unfinished call due, if there is one. Fails with `NotFound` if the payment was not loaded.
    pub fn hasten_call(&mut self, order_id: OrderId) -> QueryResult<()> {
        let key = self.root(order_id)?.unfinished_call.clone();
        self.calls.hastened.extend(key);
        Ok(())
    }
}
