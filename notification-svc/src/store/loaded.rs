//! The working set of a transaction: it is loaded once, changed in memory, and saved once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::result::Error;
use outbox_relay::NewRow;
use service_kit::trace;
use shared_events::{Event, EventId, EventMetadata, OrderId, SequenceCounter, Topic, encode};

use super::profiles::Kept;
use crate::SOURCE;
use crate::domain::{Notification, Order, Profile};

/// The orders that a transaction has locked, as decisions have left them, and what is to be announced. Each event of a
/// batch sees what those before it decided.
pub struct Loaded {
    /// The database's time of this transaction.
    pub(super) now: DateTime<Utc>,
    pub(super) orders: BTreeMap<OrderId, Root>,
    pub(super) announcements: Vec<NewRow>,
    /// By customer: those of the orders' customers, and those that this transaction hears of.
    pub(super) profiles: BTreeMap<String, Kept>,
    /// Whose profile this transaction changes.
    pub(super) changed_profiles: BTreeSet<String>,
    /// The orders of which nothing that names the person may stay.
    pub(super) to_erase: BTreeSet<OrderId>,
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
        Self {
            now,
            orders: roots.into_iter().map(root).collect(),
            announcements: Vec::new(),
            profiles: BTreeMap::new(),
            changed_profiles: BTreeSet::new(),
            to_erase: BTreeSet::new(),
        }
    }

    pub fn order(&self, id: OrderId) -> QueryResult<&Order> {
        self.orders.get(&id).map(|root| &root.order).ok_or(Error::NotFound)
    }

    /// How a customer wants to be told, if they have said so and are not forgotten.
    pub fn profile(&self, customer: &str) -> Option<&Profile> {
        self.profiles.get(customer).and_then(|kept| kept.profile.as_ref())
    }

    /// Keeps a profile, or that there is none any more, unless something newer is kept. Tells whether it did.
    pub fn keep_newest(&mut self, customer: &str, sequence: i64, profile: Option<Profile>) -> bool {
        if self.profiles.get(customer).is_some_and(|kept| kept.sequence >= sequence) {
            return false;
        }
        self.profiles.insert(customer.to_owned(), Kept { sequence, profile });
        self.changed_profiles.insert(customer.to_owned());
        true
    }

    /// Deletes all that names the person of an order, when this is saved.
    pub fn erase(&mut self, order: OrderId) {
        self.to_erase.insert(order);
    }

    /// Keeps a decision about an order, and announces its events. Fails, and changes nothing, if an event can't be encoded,
    /// which none here does, or, with `NotFound`, if the order was not loaded.
    pub fn keep_and_announce(&mut self, order: Order, events: &[Event], causation: EventId) -> QueryResult<()> {
        let root = self.orders.get_mut(&order.id).ok_or(Error::NotFound)?;
        let traceparent = trace::current_traceparent();
        let causation_id = Some(causation);
        let metadata = EventMetadata { source: SOURCE, at: self.now, causation_id, traceparent, actor: None };
        let encoded = encode(&mut root.announced, &metadata, events);
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
