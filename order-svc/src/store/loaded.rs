//! What a transaction works on: it is loaded once, decided about in memory, and saved once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use diesel::result::Error;
use outbox_relay::NewRow;
use service_kit::consumer::Envelope;
use service_kit::trace;
use shared_events::{Event, EventId, EventMetadata, OrderId, ProductState, Sku, encode};

use super::AnnounceError;
use super::history::NewEntry;
use super::roots::Root;
use crate::SOURCE;
use crate::domain::{Decided, LastSequences, Status};

/// The orders that a transaction has locked, as decisions have left them in memory; and what is to be written of them. What
/// one event of a batch decides, the next one finds here.
#[derive(Debug)]
pub struct Loaded {
    /// When this transaction began, by the database's clock.
    pub now: DateTime<Utc>,
    pub(super) orders: BTreeMap<OrderId, Root>,
    pub(super) changed: BTreeSet<OrderId>,
    pub(super) redirected: BTreeSet<OrderId>,
    pub(super) history: Vec<NewEntry>,
    pub(super) announcements: Vec<NewRow>,
    /// The sequences that are known of products,
    pub(super) sequences: BTreeMap<Sku, i64>,
    /// and what was said of them that is newer.
    pub(super) products: BTreeMap<Sku, ProductState>,
}

impl Loaded {
    pub(super) const fn new(now: DateTime<Utc>, orders: BTreeMap<OrderId, Root>) -> Self {
        Self {
            now,
            orders,
            changed: BTreeSet::new(),
            redirected: BTreeSet::new(),
            history: Vec::new(),
            announcements: Vec::new(),
            sequences: BTreeMap::new(),
            products: BTreeMap::new(),
        }
    }

    /// An order; nothing when there is no such order.
    pub fn order(&self, id: OrderId) -> Option<&Root> {
        self.orders.get(&id)
    }

    /// Keeps what was decided about an order, notes in its history what was heard and what follows from it, and announces
    /// that. `heard` is the fact, with the sequences that are known once it is.
    ///
    /// # Errors
    /// An event that can't be said; an order that was not loaded. Nothing is changed then.
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
        self.orders.insert(id, root);
        self.changed.insert(id);
        self.history.extend(history);
        self.announcements.extend(rows);
        Ok(())
    }

    /// Notes in an order's history that an event was heard and changed nothing, and why.
    pub fn note_ignored(&mut self, id: OrderId, heard: &Envelope, why: String) {
        let Some(root) = self.orders.get_mut(&id) else { return };
        let status = root.progress.status;
        let mut entry = NewEntry::heard(root, Some(status), heard);
        entry.ignored = Some(why);
        self.history.push(entry);
        self.changed.insert(id);
    }

    /// Keeps what was said of a product, unless something newer is known; says whether it was kept.
    pub fn keep_newest(&mut self, sequence: i64, state: &ProductState) -> bool {
        let newer = self.sequences.get(&state.sku).is_none_or(|known| sequence > *known);
        if newer {
            self.sequences.insert(state.sku.clone(), sequence);
            self.products.insert(state.sku.clone(), state.clone());
        }
        newer
    }
}

/// What is heard and said of an order as it is now, as entries of its history; and what is said, numbered and dressed for the
/// outbox. The first event of a change is the one that moves the status; those that follow from it find it moved.
pub(super) fn told(
    root: &mut Root,
    before: Option<Status>,
    now: DateTime<Utc>,
    events: &[Event],
    heard: Option<&Envelope>,
) -> serde_json::Result<(Vec<NewEntry>, Vec<NewRow>)> {
    let causation_id = heard.map(|envelope| EventId(envelope.id));
    let metadata = EventMetadata { source: SOURCE, at: now, causation_id, traceparent: trace::current_traceparent() };
    let messages = encode(root, &metadata, events)?;
    let mut history: Vec<NewEntry> =
        heard.map(|envelope| NewEntry::heard(root, before, envelope)).into_iter().collect();
    for (event, message) in events.iter().zip(&messages) {
        let before = if history.is_empty() { before } else { Some(root.progress.status) };
        history.push(NewEntry::said(root, before, event, message.event_id, now, causation_id));
    }
    Ok((history, messages.into_iter().map(|message| message.into_row(NewRow::new)).collect()))
}
