//! What the services' tests share: what other services send, the HTTP interface on a port of its own, what was
//! announced. Only dev-dependencies name this crate.
#![allow(clippy::unwrap_used, reason = "for tests alone: a test fails by panicking")]

mod events;
pub mod issuer;
pub mod kafka;
mod outbox;
mod search;
mod served;

use service_kit::config::Reader;
use service_kit::testing::{TestDb, kafka_bootstrap};

pub use events::{Others, address, customer, eur, lines, placed, record, record_numbered};
pub use outbox::{OutboxRow, outbox};
pub use search::{tables_that_name, tables_that_name_beside_the_outbox};
pub use served::{Served, answer};

/// The configuration of a service on this database and the tests' Kafka, on a free port. `more` are its own variables.
pub fn configured<T>(db: &TestDb, more: &[(&str, &str)], read: impl FnOnce(&mut Reader) -> Option<T>) -> T {
    let kafka = kafka_bootstrap();
    let shared =
        [("HTTP_ADDR", "127.0.0.1:0"), ("AUTH", "off"), ("DATABASE_URL", &db.url), ("KAFKA_BOOTSTRAP_SERVERS", &kafka)];
    Reader::from_pairs(shared.iter().chain(more).copied()).whole(read).unwrap()
}
