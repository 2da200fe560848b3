//! The working set of a transaction: it is loaded once, changed in memory, and saved once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use diesel::result::Error;
use outbox_relay::NewRow;
use service_kit::consumer::Envelope;
use service_kit::{auth, trace};
use shared_events::{
    CustomerId, EncodedEvent, Event, EventId, EventMetadata, OrderId, ProductState, SequenceCounter, Sku, encode,
};

use super::AnnounceError;
use super::history::NewEntry;
use super::roots::Root;
use crate::SOURCE;
use crate::domain::{Decided, LastSequences, PaymentFact, Status};
use crate::metrics::Moved;

/// The orders that a transaction has locked, as decisions have left them, and what is to be written. Each event of a
/// batch sees what those before it decided.
#[derive(Debug)]
pub struct Loaded {
    /// When this transaction began, by the database's clock.
    pub now: DateTime<Utc>,
    pub(super) orders: BTreeMap<OrderId, Root>,
    pub(super) changed: BTreeSet<OrderId>,
    pub(super) redirected: BTreeSet<OrderId>,
    /// Those from which the person is to be taken.
    pub(super) forgotten: BTreeSet<OrderId>,
    pub(super) history: Vec<NewEntry>,
    pub(super) announcements: Vec<NewRow>,
    /// Orders whose status has changed.
    pub(super) moved: Vec<Moved>,
    /// The newest known sequences of products.
    pub(super) sequences: BTreeMap<Sku, i64>,
    /// Newer states of products, to be written.
    pub(super) products: BTreeMap<Sku, ProductState>,
}

impl Loaded {
    pub(super) const fn new(now: DateTime<Utc>, orders: BTreeMap<OrderId, Root>) -> Self {
        Self {
            now,
            orders,
            changed: BTreeSet::new(),
            redirected: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            history: Vec::new(),
            announcements: Vec::new(),
            moved: Vec::new(),
            sequences: BTreeMap::new(),
            products: BTreeMap::new(),
        }
    }

    pub fn order(&self, id: OrderId) -> Option<&Root> {
        self.orders.get(&id)
    }

    /// Keeps a decision about an order, adds what was read and what follows to its history, and announces what follows.
    /// `heard` is the event that was read, with the sequences known after it. Fails, and changes nothing, if an event
    /// can't be encoded or the order was not loaded.
    pub fn apply(&mut self, decided: Decided, heard: Option<(&Envelope, LastSequences)>) -> Result<(), AnnounceError> {
        let Decided { progress, destination, events } = decided;
        let id = progress.order_id;
        let before = self.orders.get(&id).ok_or(Error::NotFound)?;
        let mut root = Root { progress, ..before.clone() };
        let (envelope, last_sequences) = heard.unzip();
        let (history, rows) = told(&mut root, Some(before.progress.status), self.now, &events, envelope)?;
        root.last_sequences = last_sequences.unwrap_or(root.last_sequences);
        root.version += 1;
        root.updated_at = self.now;
        if root.progress.waiting_for() != before.progress.waiting_for() {
            root.waiting_since = self.now;
        }
        if let Some(destination) = destination {
            root.destination = Some(destination);
            self.redirected.insert(id);
        }
        if root.progress.status != before.progress.status {
            let waited_for = match before.progress.facts.payment {
                Some(PaymentFact::DeclinedForNow) => "retry",
                _ => before.progress.waiting_for().map_or("", |waiting| waiting.from),
            };
            self.moved.push(Moved::new(id, (before.progress.status, root.progress.status), self.now, waited_for));
        }
        self.orders.insert(id, root);
        self.changed.insert(id);
        self.history.extend(history);
        self.announcements.extend(rows);
        Ok(())
    }

    /// Takes the person from an order that has ended, and announces it. Returns false, and changes nothing, if that was done
    /// before or the order goes on. Fails as [`Self::apply`] does.
    pub fn forget(&mut self, id: OrderId, customer: &CustomerId) -> Result<bool, AnnounceError> {
        let Some(root) = self.orders.get(&id).filter(|root| !root.forgotten) else { return Ok(false) };
        let Ok(transition) = root.progress.clone().forget(customer.clone()) else { return Ok(false) };
        self.apply(transition.into(), None)?;
        if let Some(root) = self.orders.get_mut(&id) {
            root.forgotten = true;
        }
        self.forgotten.insert(id);
        Ok(true)
    }

    /// Adds an event that changed nothing to the order's history, with the reason.
    pub fn note_ignored(&mut self, id: OrderId, heard: &Envelope, why: String) {
        let Some(root) = self.orders.get_mut(&id) else { return };
        let status = root.progress.status;
        let mut entry = NewEntry::heard(root, Some(status), heard);
        entry.ignored = Some(why);
        self.history.push(entry);
        self.changed.insert(id);
    }

    /// Keeps a product's state unless a newer one is known. Returns whether it was kept.
    pub fn keep_newest(&mut self, sequence: i64, state: &ProductState) -> bool {
        let newer = self.sequences.get(&state.sku).is_none_or(|known| sequence > *known);
        if newer {
            self.sequences.insert(state.sku.clone(), sequence);
            self.products.insert(state.sku.clone(), state.clone());
        }
        newer
    }
}

/// The history entries of an event that was read and of those published because of it, and the outbox rows of the
/// latter. The first entry of a change moves the status; the others find it moved.
pub(super) fn told(
    root: &mut Root,
    before: Option<Status>,
    now: DateTime<Utc>,
    events: &[Event],
    heard: Option<&Envelope>,
) -> serde_json::Result<(Vec<NewEntry>, Vec<NewRow>)> {
    let causation_id = heard.map(|envelope| EventId(envelope.id));
    let messages = encoded(root, now, events, causation_id)?;
    let mut history: Vec<NewEntry> =
        heard.map(|envelope| NewEntry::heard(root, before, envelope)).into_iter().collect();
    for (event, message) in events.iter().zip(&messages) {
        let before = if history.is_empty() { before } else { Some(root.progress.status) };
        history.push(NewEntry::said(root, before, event, message.event_id, now, causation_id));
    }
    Ok((history, messages.into_iter().map(|message| message.into_row(NewRow::new)).collect()))
}

/// Events as they are said now, numbered by the root of their key.
pub(super) fn encoded(
    root: &mut impl SequenceCounter,
    now: DateTime<Utc>,
    events: &[Event],
    causation_id: Option<EventId>,
) -> serde_json::Result<Vec<EncodedEvent>> {
    let (traceparent, actor) = (trace::current_traceparent(), auth::actor());
    encode(root, &EventMetadata { source: SOURCE, at: now, causation_id, traceparent, actor }, events)
}
