//! The working set of a transaction: it is loaded once, changed in memory, and saved once.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::result::Error;
use outbox_relay::NewRow;
use service_kit::trace;
use shared_events::{Event, EventId, EventMetadata, OrderId, SequenceCounter, Topic, encode};

use crate::SOURCE;
use crate::domain::{Notification, Order};

/// The orders that a transaction has locked, as decisions have left them, and what is to be announced. Each event of a
/// batch sees what those before it decided.
pub struct Loaded {
    /// The database's time of this transaction.
    pub(super) now: DateTime<Utc>,
    pub(super) orders: BTreeMap<OrderId, Root>,
    pub(super) announcements: Vec<NewRow>,
}

/// The locked row of one order and what belongs to it: what differs from `before` is written.
pub(super) struct Root {
    pub before: Order,
    pub order: Order,
    pub was_announced: Announced,
    pub announced: Announced,
}

/// How many events of the order were announced. This service announces on one topic alone, so there is one counter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Announced(pub i64);

impl SequenceCounter for Announced {
    fn next_sequence(&mut self, _: Topic) -> i64 {
        self.0 += 1;
        self.0
    }
}

impl Loaded {
    pub(super) fn new(now: DateTime<Utc>, roots: impl IntoIterator<Item = (Order, Announced)>) -> Self {
        let root = |(order, announced): (Order, _)| {
            (order.id, Root { before: order.clone(), order, was_announced: announced, announced })
        };
        Self { now, orders: roots.into_iter().map(root).collect(), announcements: Vec::new() }
    }

    pub fn order(&self, id: OrderId) -> QueryResult<&Order> {
        self.orders.get(&id).map(|root| &root.order).ok_or(Error::NotFound)
    }

    /// Keeps a decision about an order. Fails with `NotFound`, and changes nothing, if the order was not loaded.
    pub fn keep(&mut self, order: Order) -> QueryResult<()> {
        let root = self.orders.get_mut(&order.id).ok_or(Error::NotFound)?;
        root.order = order;
        Ok(())
    }

    /// Keeps a decision about an order, and announces its event. Fails, and changes nothing, if the event can't be
    /// encoded, which none here does, or, with `NotFound`, if the order was not loaded.
    pub fn keep_and_announce(&mut self, order: Order, event: Event, causation: EventId) -> QueryResult<()> {
        let root = self.orders.get_mut(&order.id).ok_or(Error::NotFound)?;
        let traceparent = trace::current_traceparent();
        let metadata = EventMetadata { source: SOURCE, at: self.now, causation_id: Some(causation), traceparent };
        let encoded = encode(&mut root.announced, &metadata, &[event]);
        let encoded = encoded.map_err(|error| Error::SerializationError(error.into()))?;
        self.announcements.extend(encoded.into_iter().map(|event| event.into_row(NewRow::new)));
        root.order = order;
        Ok(())
    }

    pub(super) fn add_notifications(&mut self, found: Vec<(OrderId, Notification)>) {
        for (id, notification) in found {
            if let Some(root) = self.orders.get_mut(&id) {
                root.before.notifications.push(notification.clone());
                root.order.notifications.push(notification);
            }
        }
    }

    pub(super) fn add_line_names(&mut self, names: Vec<(OrderId, BTreeMap<String, String>)>) {
        for (id, names) in names {
            if let Some(root) = self.orders.get_mut(&id) {
                root.before.line_names.clone_from(&names);
                root.order.line_names = names;
            }
        }
    }
}

impl Root {
    /// Those that this transaction has queued, to come behind those that it found.
    pub fn new_notifications(&self) -> &[Notification] {
        self.order.notifications.get(self.before.notifications.len()..).unwrap_or_default()
    }

    /// Those that it found and changed.
    pub fn changed_notifications(&self) -> impl Iterator<Item = &Notification> {
        let pairs = self.before.notifications.iter().zip(&self.order.notifications);
        pairs.filter(|(before, after)| before != after).map(|(_, after)| after)
    }
}
