//! Catalogue, stock levels, reservations, shipments and tracking.

pub mod commands;
pub mod config;
pub mod domain;
pub mod expiry;
pub mod http;
mod outbox;
pub mod reactions;
mod schema;
pub mod store;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The tables of its database, in the order in which they are made: the kit's, the outbox, its own.
pub fn migrations() -> Vec<EmbeddedMigrations> {
    vec![service_kit::MIGRATIONS, outbox_relay::MIGRATIONS, MIGRATIONS]
}

/// The consumer group; its dead letters go to `stock-svc.dlq`.
pub const GROUP: &str = "stock-svc";

/// Who speaks, as it stands in `ce_source`.
pub const SOURCE: &str = "/stock-svc";
