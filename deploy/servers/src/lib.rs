//! PostgreSQL and Apache Kafka (or another broker) as child processes on loopback, for local runs and tests.
//!
//! They are started from what the machine has: PostgreSQL's server binaries, a Java runtime, and Kafka's jars, which
//! are fetched once. The caller names a folder for the data, which nobody else may use. After a kill -9 of any
//! process, the next start works on the same data. Nothing here knows the shop.

pub mod broker;
pub mod folder;
pub mod kafka;
pub mod port;
pub mod postgres;
pub mod process;

pub use broker::Broker;
pub use kafka::Kafka;
pub use postgres::Postgres;

/// How much data a server may lose if the machine fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was committed: it is on the disk.
    Real,
    /// Anything: fsync is off, which is faster. For tests, whose data nobody keeps.
    Tests,
}
