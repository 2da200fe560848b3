//! What databases, journal and topics say of a part of the shop at nearly the same time: services go on meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use stock_svc::store::books::Books;

use super::rows::{
    Effect, Hearing, Lying, Mail, Movement, Order, Overdue, Payment, Refund, Reservation, Shipment, Step,
};
use crate::{records::Record, service::Service};

/// A key of a topic.
pub(super) type Place = (String, String);

/// Where evidence is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Orders,
    Stock,
    Payments,
    Mails,
    Gateway,
    Topics,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Orders => "the database of order-svc",
            Self::Stock => "the database of stock-svc",
            Self::Payments => "the database of payment-svc",
            Self::Mails => "the database of notification-svc",
            Self::Gateway => "the gateway's journal",
            Self::Topics => "the topics",
        }
    }

    pub const fn of(service: Service) -> Self {
        match service {
            Service::OrderSvc => Self::Orders,
            Service::StockSvc => Self::Stock,
            Service::PaymentSvc => Self::Payments,
            _ => Self::Mails,
        }
    }
}

/// What could not be read, and why.
pub(super) type Away = BTreeMap<Part, String>;

/// Which of these parts could not be read, and why; nothing where all were.
pub(super) fn unread(away: &Away, needed: &[Part]) -> Option<String> {
    let unread: Vec<_> = away
        .iter()
        .filter(|(part, _)| needed.contains(part))
        .map(|(part, why)| format!("{} can't be read ({why})", part.name()))
        .collect();
    (!unread.is_empty()).then(|| unread.join("; "))
}

/// The evidence on one part: a range of orders with all that is theirs, or some products, levels or keys of the
/// gateway.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub now: DateTime<Utc>,
    pub orders: BTreeMap<String, Order>,
    pub history: Vec<Step>,
    /// Orders that a stored answer names and that aren't there.
    pub lost_orders: BTreeSet<String>,
    /// What the books say of each SKU of a range.
    pub books: BTreeMap<String, Books>,
    pub movements: Vec<Movement>,
    pub reservations: BTreeMap<String, Reservation>,
    pub shipments: Vec<Shipment>,
    pub payments: BTreeMap<String, Payment>,
    pub refunds: Vec<Refund>,
    pub ledger: Vec<Effect>,
    /// What the gateway itself has noted; none if it can't be asked.
    pub journal: Option<Vec<Effect>>,
    pub mails: Vec<Mail>,
    /// By the key of a topic, how many events its service has said.
    pub said: BTreeMap<Place, u64>,
    /// By the key of a compacted topic, how many events its service has said.
    pub present_said: BTreeMap<Place, u64>,
    /// What is committed and not published yet, or parked.
    pub unpublished: BTreeSet<(String, String, u64)>,
    /// Timers that were due a while ago.
    pub overdue: Vec<Overdue>,
    pub heard: BTreeMap<Service, Hearing>,
    /// Dead letters, parked keys, parked rows of outboxes.
    pub lying: Vec<Lying>,
    /// Each topic's records in the order of their partitions.
    pub records: Vec<Record>,
    /// The newest record of each key of compacted topics: older ones may be gone.
    pub present: Vec<Record>,
    /// Whether topics still have all that was ever in them, and archives, from which they are rebuilt, all that orders said.
    pub topics_are_whole: bool,
}

impl Evidence {
    /// How many rows, lines and events it holds.
    pub fn size(&self) -> usize {
        let rows = self.orders.len() + self.history.len() + self.lost_orders.len() + self.books.len();
        let goods = self.movements.len() + self.reservations.len() + self.shipments.len();
        let money = self.payments.len() + self.refunds.len() + self.ledger.len();
        let lines = self.journal.as_ref().map_or(0, Vec::len) + self.mails.len();
        let noted = self.present_said.len() + self.unpublished.len() + self.overdue.len() + self.lying.len();
        let heard: usize = self.heard.values().map(|hearing| hearing.events.len()).sum();
        rows + goods + money + lines + noted + heard + self.records.len() + self.present.len()
    }
}
