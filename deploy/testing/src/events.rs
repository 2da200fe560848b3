//! Events as other services send them.

use std::collections::HashMap;
use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};
use service_kit::consumer::Record;
use shared_events::*;

/// Counts what the other services sent, key by key and topic by topic.
#[derive(Default)]
pub struct Others(Mutex<HashMap<(String, Topic), i64>>);

struct Sequence(i64);

impl SequenceCounter for Sequence {
    fn next_sequence(&mut self, _: Topic) -> i64 {
        self.0
    }
}

impl Others {
    /// The event as another service sends it now.
    pub fn record(&self, event: impl Into<Event>) -> Record {
        self.record_at(event, Utc::now())
    }

    pub fn record_at(&self, event: impl Into<Event>, at: DateTime<Utc>) -> Record {
        let event = event.into();
        let mut counts = self.0.lock().unwrap();
        let count = counts.entry((event.key(), event.topic())).or_default();
        *count += 1;
        record_numbered(&event, *count, at)
    }
}

/// The event as it stands in its topic, the first of its key.
pub fn record(event: impl Into<Event>) -> Record {
    record_numbered(&event.into(), 1, Utc::now())
}

pub fn record_numbered(event: &Event, sequence: i64, at: DateTime<Utc>) -> Record {
    let metadata = EventMetadata { source: "/test", at, causation_id: None, traceparent: None, actor: None };
    let sent = encode(&mut Sequence(sequence), &metadata, std::slice::from_ref(event)).unwrap().remove(0);
    Record::sent(sent.topic.name(), sent.key, sent.headers, sent.value)
}

pub fn eur(cents: i64) -> Money {
    Money::new(cents, Currency::EUR).unwrap()
}

pub fn customer() -> Customer {
    let (id, name) = ("c-1001".parse().unwrap(), "Ann Lee".parse().unwrap());
    Customer { id, name, email: "ann@example.com".parse().unwrap() }
}

pub fn address(line1: &str) -> Address {
    Address {
        line1: line1.parse().unwrap(),
        line2: None,
        city: "Cork".parse().unwrap(),
        postal_code: "T12".parse().unwrap(),
        country: "IE".to_owned().try_into().unwrap(),
    }
}

pub fn lines(lines: &[(&str, i64)]) -> Vec<StockLine> {
    let line = |(sku, quantity): &(&str, i64)| StockLine {
        sku: sku.parse().unwrap(),
        quantity: (*quantity).try_into().unwrap(),
    };
    lines.iter().map(line).collect()
}

/// Ann Lee's order of these lines, each piece at 12.99 EUR.
pub fn placed(order_id: OrderId, of: &[(&str, i64)]) -> OrderPlaced {
    let (name, unit_price) = ("Earl Grey".parse::<LineText>().unwrap(), eur(12_99));
    let line = |StockLine { sku, quantity }| OrderLine { sku, name: name.clone(), quantity, unit_price };
    OrderPlaced {
        order_id,
        customer: customer(),
        delivery_address: address("1 Quay St"),
        lines: lines(of).into_iter().map(line).collect(),
        total: eur(of.iter().map(|(_, quantity)| quantity * 12_99).sum()),
        payment_method: "pm_card_visa".parse().unwrap(),
        deadline: Utc::now() + TimeDelta::minutes(20),
    }
}
