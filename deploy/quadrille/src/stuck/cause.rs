//! What keeps orders from going on, and which orders.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::facts::Waiting;
use crate::service::Service;

/// How many orders of a cause are named.
pub(super) const NAMED: usize = 5;

/// Kinds of causes. Where several concern an order, the first of them keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An event that a service could not handle.
    DeadLetter,
    /// An event that the broker refused.
    Parked,
    Gateway,
    /// The brokers don't answer, or lack topics.
    Broker,
    /// No relay publishes an outbox.
    NoRelay,
    Database,
    /// A service doesn't answer, or nobody is in its consumer group.
    Stopped,
    /// A lock that another session holds.
    Lock,
    /// A transaction that was left open: it may hold locks, or keep dead rows from being cleaned up.
    OpenTransaction,
    /// A relay leads, and rows wait all the same.
    Outbox,
    /// A consumer has not read everything yet.
    Lag,
    Timer,
    /// A mail server, or that of another channel. Messages wait, and no order does.
    MessageServer,
    Customer,
    /// Staff must look after a refund that came to nothing.
    StaffRefund,
    /// Staff must hand a parcel over.
    Dispatch,
    Carrier,
    Unknown,
}

/// Which orders a cause may keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Reach {
    /// Those whose ids it has.
    #[default]
    Ids,
    /// Those too that wait for this service; in order-svc, those that wait for any.
    Service(Service),
    /// Those too that wait for any service.
    Services,
    /// None: what waits is not the order itself.
    Beside,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cause {
    pub kind: Kind,
    /// Where it was found, if it is a service's.
    pub service: Option<Service>,
    pub what: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<DateTime<Utc>>,
    /// How many orders wait because of it.
    pub orders: usize,
    /// How many messages wait because of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<i64>,
    /// Some of the orders.
    pub first: Vec<Uuid>,
    /// What mends it: a command, or where to look.
    pub mend: String,
    #[serde(skip)]
    pub(super) ids: BTreeSet<Uuid>,
    #[serde(skip)]
    pub(super) reach: Reach,
}

impl Cause {
    pub(super) fn new(kind: Kind, service: impl Into<Option<Service>>, what: String, mend: String) -> Self {
        Self {
            kind,
            service: service.into(),
            what,
            since: None,
            next_try: None,
            orders: 0,
            messages: None,
            first: Vec::new(),
            mend,
            ids: BTreeSet::new(),
            reach: Reach::Ids,
        }
    }

    #[must_use]
    pub(super) fn since(self, since: impl Into<Option<DateTime<Utc>>>) -> Self {
        Self { since: since.into(), ..self }
    }

    #[must_use]
    pub(super) fn reaching(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// Of these orders. Keys that are none, such as SKUs, are left out.
    #[must_use]
    pub(super) fn of_keys<'a>(self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        self.of(keys.into_iter().filter_map(|key| key.parse().ok()))
    }

    #[must_use]
    pub(super) fn of(mut self, ids: impl IntoIterator<Item = Uuid>) -> Self {
        self.ids.extend(ids);
        self
    }

    /// Whether it may be what keeps this order.
    pub(super) fn keeps(&self, order: &Waiting) -> bool {
        let waits_for_machine = by_people(order).is_none();
        match self.reach {
            Reach::Beside => false,
            _ if self.ids.contains(&order.id) => true,
            Reach::Ids => false,
            Reach::Services | Reach::Service(Service::OrderSvc) => waits_for_machine,
            Reach::Service(service) => waits_for_machine && order.from == service.name(),
        }
    }

    /// Whether it is to be shown with this order: it may keep it, or something beside it.
    pub(super) fn concerns(&self, order: &Waiting) -> bool {
        self.keeps(order) || (self.reach == Reach::Beside && (self.ids.is_empty() || self.ids.contains(&order.id)))
    }

    /// Counts and names its orders.
    pub(super) fn count(mut self) -> Self {
        if self.reach != Reach::Beside {
            self.orders = self.ids.len();
        }
        self.first = self.ids.iter().take(NAMED).copied().collect();
        self
    }
}

/// The kind of cause, if it is people who must act.
pub(super) fn by_people(order: &Waiting) -> Option<Kind> {
    match (&*order.fact, &*order.from) {
        (_, "customer") => Some(Kind::Customer),
        (_, "staff") => Some(Kind::StaffRefund),
        ("shipment.dispatched", _) => Some(Kind::Dispatch),
        ("shipment.delivered", _) => Some(Kind::Carrier),
        _ => None,
    }
}
