//! Catalogue, stock levels, reservations, shipments and tracking.

pub mod app;
pub mod cli;
pub mod commands;
pub mod config;
pub mod domain;
pub mod expiry;
pub mod housekeeping;
pub mod http;
mod outbox;
pub mod reactions;
mod schema;
pub mod store;

pub use app::App;
pub use config::Config;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use service_kit::program;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The migrations of its database, in this order: the kit's, the outbox's, its own.
pub fn migrations() -> Vec<EmbeddedMigrations> {
    vec![service_kit::MIGRATIONS, outbox_relay::MIGRATIONS, MIGRATIONS]
}

/// Configures, starts and runs the service until it is told to stop. Fails if it can't start, or with the failure of
/// the first task that failed.
pub async fn run() -> anyhow::Result<()> {
    program::run(NAME, Config::read, |config| &config.service.telemetry, App::build, App::run_until).await
}

/// The name in logs, metrics and messages.
pub const NAME: &str = "stock-svc";

/// The consumer group; its dead letters go to `stock-svc.dlq`.
pub const GROUP: &str = "stock-svc";

/// The publisher of its events, as in `ce_source`.
pub const SOURCE: &str = "/stock-svc";
