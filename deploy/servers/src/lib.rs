//! PostgreSQL and Apache Kafka, or another broker, as child processes on loopback, for local runs and for tests.
//!
//! Both are started from what the machine has: the server binaries of PostgreSQL, a Java runtime and Kafka's jars, which
//! are fetched once. Data is kept in a folder that the caller gives and owns alone; after a kill -9 of anything the next
//! start works on the same data. Nothing here knows the shop.

pub mod broker;
pub mod folder;
pub mod kafka;
pub mod port;
pub mod postgres;
pub mod process;

pub use broker::Broker;
pub use kafka::Kafka;
pub use postgres::Postgres;

/// How much a server may lose when the machine fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// What is committed is on the disk.
    Real,
    /// Quick and small, for tests whose data nobody keeps: no fsync.
    Tests,
}
