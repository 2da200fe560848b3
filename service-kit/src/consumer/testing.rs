//! Handles events as a lane would, without Kafka: for the tests of a service's reactions.

use std::sync::atomic::{AtomicI64, Ordering};

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::batch::Handler;
use super::record::bounded;
use super::{
    DeadLetterCopy, DeadLetterSink, Mode, Outcome, Place, ReactionError, Reactions, Record, Subscription, inbox, reach,
};
use crate::Pool;

/// The consumer group under which [`react`] writes the inbox.
pub const CONSUMER: &str = "test";

static OFFSETS: AtomicI64 = AtomicI64::new(0);

impl Record {
    /// A record at the next offset of partition 0, as a producer would have sent it.
    pub fn sent<N: Into<String>, V: Into<String>>(
        topic: impl Into<String>,
        key: impl Into<String>,
        headers: impl IntoIterator<Item = (N, V)>,
        value: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            place: Place { topic: topic.into(), partition: 0, offset: OFFSETS.fetch_add(1, Ordering::Relaxed) },
            key: bounded(key.into()),
            headers: headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            value: Some(value.into()),
            arrival: None,
        }
    }
}

/// Drops the copies of dead letters.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCopies;

impl DeadLetterSink for NoCopies {
    async fn dead_letter(&self, _conn: &mut AsyncPgConnection, _copy: DeadLetterCopy) -> Result<(), ReactionError> {
        Ok(())
    }
}

/// Handles one record as the service's consumer would, under the name [`CONSUMER`]: inbox, parked keys, `load`,
/// `react` and `save` in one transaction. A permanent failure makes a dead letter.
///
/// # Errors
/// Fails if the failure may pass; a lane would retry.
pub async fn react<R: Reactions>(pool: &Pool, reactions: &R, record: &Record) -> Result<Outcome, ReactionError> {
    let subscription = Subscription::inbox(record.place.topic.as_str());
    react_as(pool, CONSUMER, &subscription, reactions, &NoCopies, record).await
}

/// Handles a batch of records of one topic in one transaction, as a lane would at its first attempt.
///
/// # Errors
/// Fails if the transaction was rolled back; a lane would retry or split the batch.
pub async fn react_to_all<R: Reactions>(
    conn: &mut AsyncPgConnection,
    reactions: &R,
    records: &[Record],
) -> Result<Vec<Outcome>, ReactionError> {
    let range = range(conn).await?;
    let handler = Handler { consumer: CONSUMER, reactions, sink: &NoCopies, range, attempts: 1, lock_patience: None };
    handler.handle(conn, Mode::Inbox, &records.iter().collect::<Vec<_>>()).await
}

/// Like [`react`], with the consumer's name, the mode and the sink of your choice.
///
/// # Errors
/// Fails if the failure may pass; a lane would retry.
pub async fn react_as<R: Reactions>(
    pool: &Pool,
    consumer: &str,
    subscription: &Subscription,
    reactions: &R,
    sink: &impl DeadLetterSink,
    record: &Record,
) -> Result<Outcome, ReactionError> {
    let mode: Mode = subscription.mode;
    let mut conn = pool.get().await?;
    let range = range(&mut conn).await?;
    let handler = Handler { consumer, reactions, sink, range, attempts: 1, lock_patience: None };
    match handler.handle(&mut conn, mode, &[record]).await {
        Ok(outcomes) => Ok(outcomes.into_iter().next().unwrap_or(Outcome::Skipped)),
        Err(ReactionError::Permanent(error)) => {
            handler.dead_letter(&mut conn, mode, record, &format!("{error:#}")).await
        }
        Err(passing) => Err(passing),
    }
}

/// The range of an inbox that no keeper looks after: it has the partitions that the migration created.
async fn range(conn: &mut AsyncPgConnection) -> QueryResult<inbox::Range> {
    let range = inbox::Range::read(conn, Some(reach::reach(None, None))).await?;
    range.ok_or(diesel::result::Error::NotFound)
}
