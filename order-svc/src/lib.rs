//! Places, tracks and cancels orders; derives an order's status from the facts it heard.

pub mod commands;
pub mod domain;
pub mod http;
pub mod reactions;
pub mod schema;
pub mod store;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// Who speaks, in `ce_source`.
pub const SOURCE: &str = "/order-svc";
/// The consumer group; dead letters go to `order-svc.dlq`.
pub const GROUP: &str = "order-svc";

/// What the service's database needs, in order.
pub fn migrations() -> Vec<EmbeddedMigrations> {
    vec![service_kit::MIGRATIONS, outbox_relay::MIGRATIONS, MIGRATIONS]
}
