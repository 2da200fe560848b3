//! Pages: a shop window, an order's own page, and a control room. It hears every topic and asks the services; it decides
//! nothing, and the shop goes on without it.

pub mod app;
pub mod beside;
pub mod config;
pub mod control;
pub mod heard;
pub mod http;
pub mod pages;
pub mod secrets;
pub mod services;
pub mod sessions;
pub mod shop;
pub mod sign_in;
pub mod store;
pub mod svg;

pub use app::App;
pub use config::Config;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use service_kit::program;

/// Its name, and its consumer group's.
pub const NAME: &str = "console";

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// All migrations of its database, in their order: the kit's and its own.
pub fn migrations() -> Vec<EmbeddedMigrations> {
    vec![service_kit::MIGRATIONS, MIGRATIONS]
}

/// Runs it until the process is told to stop.
pub async fn run() -> anyhow::Result<()> {
    program::run(NAME, Config::read, |config| &config.telemetry, App::build, App::run_until).await
}
