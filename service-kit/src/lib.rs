//! What every service needs: configuration, telemetry, database pool, HTTP, who may do what, consumer with inbox and dead
//! letters, external calls, timers.
//!
//! The kit knows no event of any domain: a service supplies a decoder and its reactions.

#![warn(missing_docs)]

pub mod auth;
pub mod circuit_breaker;
pub mod config;
pub mod consumer;
pub mod dead_letters;
pub mod exit;
pub mod external_calls;
pub mod files;
pub mod gather;
pub mod housekeeping;
pub mod http;
pub mod http_client;
pub mod idempotency;
pub mod kafka;
pub mod locks;
pub mod migrate;
pub mod open_transactions;
pub mod pool;
mod prepared;
pub mod program;
pub mod progress;
pub mod retry;
mod schema;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod timers;
pub mod trace;
pub mod transaction;
pub mod versions;

pub use migrate::MIGRATIONS;
pub use pool::Pool;
pub use prepared::Together;
