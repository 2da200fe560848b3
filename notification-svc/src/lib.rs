//! Tells customers by e-mail, text and push message what happens to their orders, and keeps what was sent.

pub mod app;
pub mod commands;
pub mod config;
pub mod delivery;
pub mod domain;
pub mod housekeeping;
pub mod http;
pub mod mail;
mod metrics;
pub mod push;
pub mod reactions;
pub mod schema;
pub mod sms;
pub mod store;

pub use app::App;
pub use config::Config;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use service_kit::program;

/// `ce_source` of its events.
pub const SOURCE: &str = "/notification-svc";
/// Its consumer group; its dead letters go to `notification-svc.dlq`.
pub const GROUP: &str = "notification-svc";

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// All migrations of its database, in their order: the kit's, the outbox's, its own.
pub fn migrations() -> Vec<EmbeddedMigrations> {
    vec![service_kit::MIGRATIONS, outbox_relay::MIGRATIONS, MIGRATIONS]
}

/// Runs the service until the process is told to stop.
pub async fn run() -> anyhow::Result<()> {
    program::run(GROUP, Config::read, |config| &config.service.telemetry, App::build, App::run_until).await
}
