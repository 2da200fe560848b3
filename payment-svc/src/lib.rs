//! Authorises, captures, voids and refunds through a payment gateway.

pub mod app;
pub mod cli;
pub mod commands;
pub mod config;
pub mod domain;
pub mod gateway;
pub mod housekeeping;
pub mod http;
mod metrics;
mod outbox;
pub mod reactions;
pub mod reconcile;
pub mod retries;
mod schema;
pub mod store;
pub mod webhooks;
pub mod worker;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use service_kit::program;

pub use app::App;
pub use config::Config;

/// What the service is called in logs, metrics and messages.
pub const NAME: &str = "payment-svc";
/// The publisher of its events, as in `ce_source`.
pub const SOURCE: &str = "/payment-svc";
/// The consumer group; dead letters go to `payment-svc.dlq`.
pub const GROUP: &str = "payment-svc";

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// What the database needs: the kit's tables, the outbox, the service's own.
pub fn migrations() -> Vec<EmbeddedMigrations> {
    vec![service_kit::MIGRATIONS, outbox_relay::MIGRATIONS, MIGRATIONS]
}

/// Reads the environment and serves until told to stop.
pub async fn run() -> anyhow::Result<()> {
    program::run(NAME, Config::read, |config| &config.service.telemetry, App::build, App::run_until).await
}
