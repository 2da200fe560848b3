//! Places, tracks and cancels orders, and keeps customers' profiles; derives an order's status from the events that it has read.

pub mod app;
pub mod cli;
pub mod commands;
pub mod config;
pub mod deadline;
pub mod domain;
pub mod housekeeping;
pub mod http;
pub mod live;
mod metrics;
pub mod overdue;
pub mod prices;
pub mod reactions;
pub mod schema;
pub mod store;

pub use app::App;
pub use config::Config;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use service_kit::program;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// What the service is called in logs, metrics and messages.
pub const NAME: &str = "order-svc";
/// The publisher of its events, as in `ce_source`.
pub const SOURCE: &str = "/order-svc";
/// The consumer group; dead letters go to `order-svc.dlq`.
pub const GROUP: &str = "order-svc";

/// What the service's database needs, in order.
pub fn migrations() -> Vec<EmbeddedMigrations> {
    vec![service_kit::MIGRATIONS, outbox_relay::MIGRATIONS, MIGRATIONS]
}

/// Reads the environment and serves until told to stop.
pub async fn run() -> anyhow::Result<()> {
    program::run(NAME, Config::read, |config| &config.service.telemetry, App::build, App::run_until).await
}
