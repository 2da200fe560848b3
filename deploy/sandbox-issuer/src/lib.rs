//! An OpenID Connect issuer for development and tests. Everybody knows its passwords: it is for trying out.

mod accounts;
pub mod app;
mod clients;
mod clock;
mod codes;
pub mod config;
mod failure;
mod guessing;
mod http;
mod keys;
mod passwords;
mod schema;
mod secrets;
mod sessions;
mod tokens;

pub use app::App;
pub use clock::Clock;
pub use config::Config;
pub use http::AccountCode;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use service_kit::program;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// What the issuer's database needs.
pub fn migrations() -> Vec<EmbeddedMigrations> {
    vec![MIGRATIONS]
}

/// Reads the environment and serves until told to stop.
pub async fn run() -> anyhow::Result<()> {
    program::run("sandbox-issuer", Config::read, |config| &config.telemetry, App::build, App::run_until).await
}
