use std::collections::{BTreeMap, BTreeSet};

use shared_events::{CustomerId, OrderId};
use uuid::Uuid;

/// What a batch of events is about.
#[derive(Default)]
pub struct Keys<'a> {
    /// The orders, with whose each is, where its event says so.
    orders: BTreeMap<Uuid, Option<&'a str>>,
    /// The orders whose letters call lines by their names.
    named: BTreeSet<Uuid>,
    customers: BTreeSet<&'a str>,
}

impl<'a> Keys<'a> {
    /// An order. Its letters may call lines by the names that they were ordered under.
    pub fn order(&mut self, order: OrderId, names_lines: bool) {
        self.orders.entry(order.0).or_default();
        if names_lines {
            self.named.insert(order.0);
        }
    }

    /// An order that is this customer's.
    pub fn placed(&mut self, order: OrderId, customer: &'a CustomerId) {
        self.orders.insert(order.0, Some(customer.as_str()));
    }

    /// A customer whose profile may change.
    pub fn customer(&mut self, customer: &'a CustomerId) {
        self.customers.insert(customer.as_str());
    }

    /// The orders, sorted, and whose each is as far as an event says so.
    pub(super) fn orders(&self) -> (Vec<Uuid>, Vec<Option<&'a str>>) {
        self.orders.iter().map(|(order, customer)| (*order, *customer)).unzip()
    }

    pub(super) fn names_lines(&self, order: Uuid) -> bool {
        self.named.contains(&order)
    }

    pub(super) fn customers(&self) -> Vec<&'a str> {
        self.customers.iter().copied().collect()
    }
}
