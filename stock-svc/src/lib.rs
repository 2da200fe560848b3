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

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use service_kit::{shutdown, telemetry};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The tables of its database, in the order in which they are made: the kit's, the outbox, its own.
pub fn migrations() -> Vec<EmbeddedMigrations> {
    vec![service_kit::MIGRATIONS, outbox_relay::MIGRATIONS, MIGRATIONS]
}

/// Configures, starts and runs the service until it is told to stop.
///
/// # Errors
/// What keeps it from starting, or the first part that failed.
pub async fn run() -> anyhow::Result<()> {
    // Before anything is waited for: as the first process of a container nothing else would end it.
    let stop = shutdown::signal()?;
    let config = config::Config::from_env()?;
    telemetry::init(NAME, &config.telemetry)?;
    let Some(app) = stop.run_until_cancelled(app::App::build(config)).await else { return Ok(()) };
    app?.run_until(stop.clone()).await
}

/// Its name in logs, metrics and messages.
pub const NAME: &str = "stock-svc";

/// The consumer group; its dead letters go to `stock-svc.dlq`.
pub const GROUP: &str = "stock-svc";

/// Who speaks, as it stands in `ce_source`.
pub const SOURCE: &str = "/stock-svc";
