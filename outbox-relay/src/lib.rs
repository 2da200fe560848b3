#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod answer;
mod append;
mod archive;
mod broker_metadata;
pub mod cli;
mod config;
mod control;
mod dead_letters;
mod gauges;
mod head;
mod headers;
mod health;
mod kafka;
mod lead;
mod nudge;
pub mod parked;
mod publisher;
mod relay;
pub mod republish;
mod rights;
pub mod service;
mod sql;
mod term;
mod to_record;
mod traced;
pub mod worker;

pub use append::{
    AppendError, DEFAULT_TOPIC_BYTES, InsertRows, NewRow, append, append_all, append_all_within, appending,
};
pub use archive::Archive;
pub use config::{Bound, Mode, RelayConfig, vars};
pub use control::LOCK as LEADERS_LOCK;
pub use dead_letters::DeadLetters;
pub use headers::Headers;
pub use health::{Health, State};
pub use kafka::KafkaPublisher;
pub use nudge::Nudge;
pub use publisher::{Failure, NullPublisher, OutboxRow, Publisher, Report};
pub use relay::{BatchOutcome, Relay};
pub use rights::grant;
pub use worker::run;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};

/// The tables `outbox`, `outbox_parked` and `outbox_archive`. Every database whose rows are relayed has them.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");
