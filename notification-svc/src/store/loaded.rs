//! What a transaction works on: it is loaded once, decided about in memory, and saved once.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::result::Error;
use outbox_relay::NewRow;
use service_kit::trace;
use shared_events::{Event, EventId, EventMetadata, OrderId, SequenceCounter, Topic, encode};

use crate::SOURCE;
use crate::domain::{Notification, Order};

/// The orders that a transaction has locked, as decisions have left them in memory; and what is to be announced. What one
/// event of a batch decides, the next one finds here.
pub struct Loaded {
    /// The time of this transaction by the database's clock.
    pub(super) now: DateTime<Utc>,
    pub(super) orders: BTreeMap<OrderId, Root>,
    pub(super) announcements: Vec<NewRow>,
}

/// The locked row of one order and what hangs on it: what differs from `before` is to be written.
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

    /// # Errors
    /// `NotFound` when the order was not loaded.
    pub fn order(&self, id: OrderId) -> QueryResult<&Order> {
        self.orders.get(&id).map(|root| &root.order).ok_or(Error::NotFound)
    }

    /// Keeps what was decided about an order.
    ///
    /// # Errors
    /// `NotFound` when the order was not loaded. Nothing is changed then.
    pub fn keep(&mut self, order: Order) -> QueryResult<()> {
        let root = self.orders.get_mut(&order.id).ok_or(Error::NotFound)?;
        root.order = order;
        Ok(())
    }

    /// Keeps what was decided about an order, and announces what follows from it.
    ///
    /// # Errors
    /// An event that can't be encoded, which none here is; `NotFound` when the order was not loaded. Nothing is changed then.
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
    /// Those that this transaction has queued, which come behind those that it found.
    pub fn new_notifications(&self) -> &[Notification] {
        self.order.notifications.get(self.before.notifications.len()..).unwrap_or_default()
    }

    /// Those that it found and changed.
    pub fn changed_notifications(&self) -> impl Iterator<Item = &Notification> {
        let pairs = self.before.notifications.iter().zip(&self.order.notifications);
        pairs.filter(|(before, after)| before != after).map(|(_, after)| after)
    }
}
