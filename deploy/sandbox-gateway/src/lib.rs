//! A payment gateway for development and tests: the part of Stripe's API that payment-svc speaks, with a journal. Beside it
//! stands what takes text and push messages.

pub mod app;
pub mod config;
mod currencies;
mod disputes;
mod error;
pub mod faults;
mod http;
mod intents;
mod lists;
mod messages;
mod methods;
mod operations;
mod params;
mod schema;
mod store;
pub mod webhooks;

pub use app::App;
pub use config::Config;
pub use error::StripeError;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use service_kit::program;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// What the journal's database needs.
pub fn migrations() -> Vec<EmbeddedMigrations> {
    vec![MIGRATIONS]
}

/// Reads the environment and serves until told to stop.
pub async fn run() -> anyhow::Result<()> {
    program::run("sandbox-gateway", Config::read, |config| &config.telemetry, App::build, App::run_until).await
}
