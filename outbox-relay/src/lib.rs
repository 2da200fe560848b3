//! The outbox table, append, and the relay that polls pending rows into Kafka.

mod append;
mod headers;

pub use append::{AppendError, DEFAULT_TOPIC_BYTES, NewRow, append, append_all, append_all_within};

use diesel_migrations::{EmbeddedMigrations, embed_migrations};

/// The tables `outbox` and `outbox_parked`. Every database whose rows are relayed has them.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");
