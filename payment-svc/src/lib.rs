//! Authorises, captures, voids and refunds through a payment gateway.

pub mod commands;
pub mod config;
pub mod domain;
pub mod gateway;
pub mod http;
pub mod reactions;
mod schema;
pub mod store;
pub mod worker;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};

pub use config::Config;

/// `ce_source` of everything that is said here.
pub const SOURCE: &str = "/payment-svc";
/// The consumer group; dead letters go to `payment-svc.dlq`.
pub const GROUP: &str = "payment-svc";

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// What the database needs: the kit's tables, the outbox, the service's own.
pub fn migrations() -> Vec<EmbeddedMigrations> {
    vec![service_kit::migrate::MIGRATIONS, outbox_relay::MIGRATIONS, MIGRATIONS]
}
