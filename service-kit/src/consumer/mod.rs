//! Hears events from Kafka and has them handled once each, in the order of their keys.
//!
//! One thread polls and feeds a bounded lane per partition. A lane takes a micro-batch and, in one transaction, notes
//! the events in the inbox, lets the service load, decide and save what the new ones need, and notes how far it came; only
//! after the commit is the offset stored. What can't be handled goes to [`crate::dead_letters`] and parks its key.

mod batch;
mod bury;
mod claim;
mod error;
mod event_by_event;
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
mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod topic_recreation;
mod wake;
mod watch;

use std::future::Future;

use diesel_async::AsyncPgConnection;
use uuid::Uuid;

pub(crate) use batch::{panicked, react};
pub(crate) use bury::shortened;
pub use error::ReactionError;
pub use event_by_event::EventByEvent;
pub(crate) use lane::Work;
pub use murmur2::{key_hash, partition_of};
pub use outcome::{Handled, Outcome, Why};
pub use record::{Envelope, Incoming, Place, Record};
pub use run::Consumer;
pub use settings::ConsumerConfig;
pub use state::ConsumerHandle;

/// Why a record can't be read as an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// A type that this build has never heard of: a newer producer. Counted and skipped.
    UnknownType,
    /// Anything else, an unknown major version of a known type included: it parks its key.
    Poison(String),
}

/// What a service does about the events that it hears: it loads what a batch needs, decides about one event after the
/// other, and saves what was decided. The kit opens the transaction, writes the inbox and commits.
pub trait Reactions: Send + Sync + 'static {
    /// The events of the service's world.
    type Event: Send + Sync + 'static;

    /// The roots of a batch and what hangs on them, as they are in memory; and what was decided meanwhile.
    type Loaded: Send;

    /// Reads the value of an event whose `ce_type` is `event_type`.
    ///
    /// # Errors
    /// See [`Undecodable`].
    fn decode(&self, event_type: &str, value: &[u8]) -> Result<Self::Event, Undecodable>;

    /// Whether there is a reaction to the event. One that is for nobody is skipped without a row in the inbox, whatever its
    /// age, and is not reacted to.
    fn concerns(&self, event: &Self::Event) -> bool {
        let _ = event;
        true
    }

    /// Locks and reads what the whole batch needs, in an order that all lanes share: all roots sorted, then all else sorted.
    /// A fixed number of statements, whatever the size of the batch.
    fn load(
        &self,
        conn: &mut AsyncPgConnection,
        batch: &[Incoming<Self::Event>],
    ) -> impl Future<Output = Result<Self::Loaded, ReactionError>> + Send;

    /// Decides about one event on what was loaded, where the next event of the batch finds what was decided. On `Err`
    /// `loaded` is as it was: an event that fails for good becomes a dead letter, and the others of its batch go on.
    ///
    /// # Errors
    /// See [`ReactionError`].
    fn react(&self, loaded: &mut Self::Loaded, incoming: &Incoming<Self::Event>) -> Result<Handled, ReactionError>;

    /// Writes what was decided about the whole batch, in the transaction that marks it handled: one statement a table. If it
    /// fails, the events are loaded, decided and saved again one at a time.
    fn save(
        &self,
        conn: &mut AsyncPgConnection,
        loaded: Self::Loaded,
    ) -> impl Future<Output = Result<(), ReactionError>> + Send;

    /// A transaction was committed in which something was applied: here the relay is nudged. Must not block.
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
    /// The record's headers, and where and why it failed (`dead_letter_topic`, `_partition`, `_offset`, `_error`,
    /// `_attempts`; `_value_omitted` where the value was too large to go with it, `_headers_omitted` where the headers
    /// were).
    pub headers: Vec<(String, String)>,
    /// The record's value, unless it was too large.
    pub value: Vec<u8>,
}

/// Sends copies of dead letters on, through the service's outbox: on the same connection, in the same transaction.
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
    /// Each event once, through the inbox; its progress holds timers back.
    Inbox,
    /// A compacted topic that tells the present: no inbox, no age limit, no parked keys, no timers. The reaction keeps
    /// the highest sequence per key and drops lower ones. No offset of it is committed: whoever is given a partition reads
    /// it from its beginning, so that a database that is new learns all of it.
    LatestPerKey,
}

/// A topic that a service hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its name.
    pub topic: String,
    /// How it is read.
    pub mode: Mode,
}

impl Subscription {
    /// Hears each event of `topic` once.
    pub fn inbox(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), mode: Mode::Inbox }
    }

    /// Hears the present that the compacted `topic` tells.
    pub fn latest_per_key(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), mode: Mode::LatestPerKey }
    }
}
