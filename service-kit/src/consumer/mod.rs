//! Reads events from Kafka and has each handled once, in the order of its key.
//!
//! One thread polls and feeds a bounded lane per partition. A lane takes a micro-batch, and lanes that have one at the same
//! time share a transaction. In it the events are noted in the inbox, the service loads, decides and saves for the new ones,
//! and the lanes' progress is noted. The offset is stored only after the commit. An event that can't be handled goes to
//! [`crate::dead_letters`] and parks its key.

mod batch;
mod claim;
mod dead_letter;
mod error;
mod hops;
mod inbox;
mod keeper;
mod lane;
mod lanes;
mod murmur2;
mod outcome;
mod poll;
mod progress;
mod queue;
pub mod reach;
mod record;
mod run;
mod sequences;
mod settings;
mod shared;
mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod topic_recreation;
mod traced;
mod wake;
mod watch;

use std::future::Future;

use diesel_async::AsyncPgConnection;
use uuid::Uuid;

pub(crate) use batch::{panicked, react};
pub(crate) use dead_letter::shortened;
pub use error::ReactionError;
pub(crate) use lane::Work;
pub use murmur2::{key_hash, partition_of};
pub use outcome::{Handled, Outcome, Why};
pub use record::{Envelope, Incoming, Place, Record};
pub use run::Consumer;
pub use settings::ConsumerConfig;
pub use state::ConsumerHandle;
pub(crate) use traced::{about, processed};

/// Why a record can't be read as an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// A type that this build doesn't know, from a newer producer. Counted and skipped.
    UnknownType,
    /// Anything else, including an unknown major version of a known type. It becomes a dead letter and parks its key.
    Malformed(String),
}

impl Undecodable {
    /// What a decoder's error means: a type that this build doesn't know, or a record that no build like this one can read.
    pub fn new(error: &impl std::fmt::Display, is_unknown_type: bool) -> Self {
        if is_unknown_type { Self::UnknownType } else { Self::Malformed(error.to_string()) }
    }
}

/// How a service reacts to the events that it consumes: it loads what a batch needs, decides about one event after
/// the other, and saves what it decided. The kit opens the transaction, writes the inbox and commits.
pub trait Reactions: Send + Sync + 'static {
    /// The events that the service understands.
    type Event: Send + Sync + 'static;

    /// The batch's aggregates and their rows in memory, together with what has been decided about them so far.
    type Loaded: Send;

    /// Reads the value of an event whose `ce_type` is `event_type`.
    ///
    /// # Errors
    /// Fails with the reason why the value can't be read, which decides whether the event is skipped or becomes a
    /// dead letter.
    fn decode(&self, event_type: &str, value: &[u8]) -> Result<Self::Event, Undecodable>;

    /// Whether the service reacts to the event. An event that doesn't concern it is skipped, whatever its age, and
    /// gets no row in the inbox.
    fn concerns(&self, event: &Self::Event) -> bool {
        let _ = event;
        true
    }

    /// Locks and reads what the whole batch needs, in an order that all lanes share: all roots sorted, then all else
    /// sorted. It takes a fixed number of statements, whatever the size of the batch.
    fn load(
        &self,
        conn: &mut AsyncPgConnection,
        batch: &[Incoming<Self::Event>],
    ) -> impl Future<Output = Result<Self::Loaded, ReactionError>> + Send;

    /// Decides about one event. It changes `loaded`, so that the next event of the batch sees the decision. On `Err`
    /// it must leave `loaded` as it was: an event that fails permanently becomes a dead letter, and the rest of the
    /// batch goes on.
    ///
    /// # Errors
    /// Fails transiently if a retry can help, and permanently if the event can never be handled.
    fn react(&self, loaded: &mut Self::Loaded, incoming: &Incoming<Self::Event>) -> Result<Handled, ReactionError>;

    /// Writes what was decided about the whole batch, in the transaction that marks it handled, with one statement a
    /// table. If it fails, the events are loaded, decided and saved again one at a time.
    fn save(
        &self,
        conn: &mut AsyncPgConnection,
        loaded: Self::Loaded,
    ) -> impl Future<Output = Result<(), ReactionError>> + Send;

    /// Called after the commit of a transaction that applied something, to nudge the relay. Must not block.
    fn committed(&self) {}
}

/// The copy of a dead letter that goes to `<group>.dlq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterCopy {
    /// An id of its own, UUID v7; the event's own id stays in the headers.
    pub id: Uuid,
    /// `<group>.dlq`.
    pub topic: String,
    /// The record's key.
    pub key: String,
    /// The record's headers, plus where and why it failed (`dead_letter_topic`, `_partition`, `_offset`, `_error`,
    /// `_attempts`). `_value_omitted` marks a value, and `_headers_omitted` headers, that were too large to copy.
    pub headers: Vec<(String, String)>,
    /// The record's value, unless it was too large.
    pub value: Vec<u8>,
}

/// Sends copies of dead letters through the service's outbox, on the same connection and in the same transaction.
pub trait DeadLetterSink: Send + Sync + 'static {
    /// Appends the copy.
    fn dead_letter(
        &self,
        conn: &mut AsyncPgConnection,
        copy: DeadLetterCopy,
    ) -> impl Future<Output = Result<(), ReactionError>> + Send;
}

/// How a topic is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each event once, through the inbox. Timers wait until the topic has been read.
    Inbox,
    /// A compacted topic that holds the current state: no inbox, no age limit, no parked keys, no gate for timers.
    /// The reaction keeps the highest sequence per key and drops lower ones. Its offsets are never committed: each
    /// new owner of a partition reads it from the beginning, so that a new database gets the whole state.
    LatestPerKey,
}

/// A topic that a service consumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its name.
    pub topic: String,
    /// How it is read.
    pub mode: Mode,
}

impl Subscription {
    /// Reads each event of `topic` once.
    pub fn inbox(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), mode: Mode::Inbox }
    }

    /// Reads the current state that the compacted `topic` holds.
    pub fn latest_per_key(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), mode: Mode::LatestPerKey }
    }
}
