//! A lane: handles the records of one partition, batch by batch, in order.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::batch::Handler;
use super::hops::Hops;
use super::queue::Queue;
use super::sequences::{Hole, Sequences};
use super::shared::Together;
use super::{ConsumerHandle, DeadLetterSink, Outcome, Place, ReactionError, Reactions, Record};
use crate::retry::Backoff;
use crate::{Pool, locks};

/// After so many transient failures a batch is retried record by record: its size may be the reason.
const BATCH_TRIES: u32 = 3;

/// How long a batch may run before the lane logs who holds the lock that it waits for.
const NAMED_AFTER: Duration = Duration::from_secs(3);

/// What all lanes of a consumer share.
pub(crate) struct Work<R, S> {
    pub handle: ConsumerHandle,
    /// The connections for lanes.
    pub pool: Pool,
    /// The connections for what looks after the lanes.
    pub upkeep: Pool,
    /// Limits lanes that retry a batch to half of the lanes' connections, so that the others stay free.
    pub retrying: Semaphore,
    pub reactions: Arc<R>,
    pub sink: S,
    pub batch_records: usize,
    pub together: Together,
}

impl<R: Reactions, S: DeadLetterSink> Work<R, S> {
    /// Handles what arrives in the queue until told to stop. It starts once the inbox's reach is known.
    pub async fn run_lane(self: &Arc<Self>, queue: &Queue, stop: &CancellationToken) {
        tokio::select! {
            () = self.handle.range_known() => {}
            () = stop.cancelled() => return,
        }
        let mut sequences = Sequences::default();
        let mut hops = None;
        while let Some(batch) = queue.take(self.batch_records, stop).await {
            let (began, batch) = (Instant::now(), Arc::from(batch));
            if self.settle_batch(&batch, queue, stop).await.is_none() {
                return;
            }
            if let Some(first) = batch.first() {
                metrics::histogram!("consumer_batch_seconds", "topic" => first.place.topic.clone())
                    .record(began.elapsed().as_secs_f64());
                hops.get_or_insert_with(|| Hops::of(&first.place.topic)).note(&batch);
            }
            for record in batch.iter() {
                if let Some(hole) = sequences.note(record, self.handle.mode(&record.place.topic)) {
                    tell_hole(record, hole);
                }
            }
        }
    }

    /// Handles a batch, retrying as needed. None if told to stop first.
    async fn settle_batch(
        self: &Arc<Self>,
        batch: &Arc<[Record]>,
        queue: &Queue,
        stop: &CancellationToken,
    ) -> Option<()> {
        let mut backoff = backoff();
        let mut shared = self.share(batch).await;
        loop {
            let handled = match shared.take() {
                Some(handled) => handled,
                None => self.handle(batch, backoff.attempt()).await,
            };
            match handled {
                Ok(outcomes) => {
                    self.done(batch, &outcomes, queue);
                    return Some(());
                }
                Err(ReactionError::Transient(error)) if batch.len() == 1 || backoff.attempt() < BATCH_TRIES => {
                    self.wait(&mut backoff, batch, &error, stop).await?;
                }
                Err(error) => {
                    tracing::debug!(error = %error, records = batch.len(), "a batch failed: its records are tried one by one");
                    break;
                }
            }
        }
        for record in batch.iter() {
            let outcome = self.settle_one(record, stop).await?;
            self.done(std::slice::from_ref(record), &[outcome], queue);
        }
        Some(())
    }

    async fn settle_one(&self, record: &Record, stop: &CancellationToken) -> Option<Outcome> {
        let mut backoff = backoff();
        loop {
            let error = match self.handle(std::slice::from_ref(record), backoff.attempt()).await {
                Ok(outcomes) => return outcomes.into_iter().next(),
                Err(ReactionError::Permanent(error)) => match self.dead_letter(record, &error, backoff.attempt()).await
                {
                    Ok(outcome) => return Some(outcome),
                    Err(ReactionError::Transient(error) | ReactionError::Permanent(error)) => error,
                },
                Err(ReactionError::Transient(error)) => error,
            };
            self.wait(&mut backoff, std::slice::from_ref(record), &error, stop).await?;
        }
    }

    pub(super) async fn handle(&self, records: &[Record], failures: u32) -> Result<Vec<Outcome>, ReactionError> {
        let Some(first) = records.first() else { return Ok(Vec::new()) };
        // A batch that failed before may wait for the same lock again, and it holds a connection while it waits.
        let _turn = match failures {
            0 => None,
            _ => Some(self.retrying.acquire().await.map_err(ReactionError::transient)?),
        };
        let mut conn = self.pool.get().await?;
        let (mode, backend) = (self.handle.mode(&first.place.topic), conn.backend());
        let handler = self.handler(failures)?;
        let records: Vec<_> = records.iter().collect();
        let mut work = pin!(handler.handle(&mut conn, mode, &records));
        let mut stuck = Stuck { at: &first.place, told: false };
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done.inspect(|outcomes| self.nudge(outcomes)),
                waits = self.name_lock_in_a_while(first, backend) => stuck.tell(waits),
            }
        }
    }

    /// Logs who blocks this backend, if anybody does. Returns whether somebody does.
    async fn name_lock_in_a_while(&self, first: &Record, backend: i32) -> bool {
        tokio::time::sleep(NAMED_AFTER).await;
        let Ok(mut conn) = self.upkeep.get().await else { return false };
        let holders = locks::holders(&mut conn, backend).await.unwrap_or_default();
        for held in &holders {
            tracing::warn!(
                topic = first.place.topic,
                partition = first.place.partition,
                offset = first.place.offset,
                backend,
                holder.pid = held.pid,
                holder.role = held.role,
                holder.application = held.application,
                holder.state = held.state,
                holder.age_seconds = held.age_seconds,
                holder.statement = held.statement,
                "a lane waits for a lock"
            );
        }
        !holders.is_empty()
    }

    async fn dead_letter(
        &self,
        record: &Record,
        error: &anyhow::Error,
        failures: u32,
    ) -> Result<Outcome, ReactionError> {
        let mut conn = self.pool.get().await?;
        let mode = self.handle.mode(&record.place.topic);
        let outcome = self.handler(failures)?.dead_letter(&mut conn, mode, record, &format!("{error:#}")).await?;
        self.nudge(std::slice::from_ref(&outcome));
        Ok(outcome)
    }

    /// Tells the relay of a commit: once a transaction, however many lanes share it.
    pub(super) fn nudge(&self, outcomes: &[Outcome]) {
        if outcomes.iter().any(Outcome::wrote) {
            self.reactions.committed();
        }
    }

    pub(super) fn handler(&self, failures: u32) -> Result<Handler<'_, R, S>, ReactionError> {
        let unknown = || ReactionError::Transient(anyhow::anyhow!("the reach of the inbox is not known yet"));
        let range = self.handle.range().ok_or_else(unknown)?;
        let attempts = i32::try_from(failures).unwrap_or(i32::MAX).saturating_add(1);
        let (consumer, reactions, sink) = (self.handle.group(), &*self.reactions, &self.sink);
        Ok(Handler { consumer, reactions, sink, range, attempts, lock_patience: None })
    }

    /// Runs after the commit: records the offset to store and counts the outcomes.
    fn done(&self, records: &[Record], outcomes: &[Outcome], queue: &Queue) {
        let Some(last) = records.last() else { return };
        queue.note_handled(last);
        let topic = &last.place.topic;
        metrics::histogram!("consumer_batch_records", "topic" => topic.clone()).record(records.len() as f64);
        for (record, outcome) in records.iter().zip(outcomes) {
            metrics::counter!("consumer_events_total", "topic" => topic.clone(), "outcome" => outcome.label())
                .increment(1);
            report(record, outcome);
        }
    }

    async fn wait(
        &self,
        backoff: &mut Backoff,
        batch: &[Record],
        error: &anyhow::Error,
        stop: &CancellationToken,
    ) -> Option<()> {
        let wait = backoff.next_wait();
        let place = &batch.first()?.place;
        metrics::counter!("consumer_retries_total", "topic" => place.topic.clone()).increment(1);
        // A first failure from a race usually succeeds on retry, so only repeated failures are logged.
        if backoff.attempt() > 2 {
            tracing::warn!(
                topic = place.topic, partition = place.partition, offset = place.offset, attempts = backoff.attempt(),
                next_attempt_seconds = wait.as_secs_f64(), error = %format!("{error:#}"),
                "events can't be handled now: the partition waits"
            );
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => Some(()),
            () = stop.cancelled() => None,
        }
    }
}

/// Raises a gauge while the lane of a partition waits for a lock. Dropping it lowers the gauge, however the wait
/// ends.
struct Stuck<'a> {
    at: &'a Place,
    told: bool,
}

impl Stuck<'_> {
    fn tell(&mut self, waits: bool) {
        if waits != self.told {
            let (topic, partition) = (self.at.topic.clone(), self.at.partition.to_string());
            metrics::gauge!("consumer_lane_waits_for_lock", "topic" => topic, "partition" => partition)
                .set(u8::from(waits));
            self.told = waits;
        }
    }
}

impl Drop for Stuck<'_> {
    fn drop(&mut self) {
        self.tell(false);
    }
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(20), Duration::from_secs(5))
}

fn tell_hole(record: &Record, hole: Hole) {
    let place = &record.place;
    metrics::counter!("consumer_lost_events_total", "topic" => place.topic.clone()).increment(hole.events());
    tracing::error!(
        topic = place.topic,
        partition = place.partition,
        offset = place.offset,
        key = record.key,
        "event.sequence" = hole.before,
        last_sequence = hole.after,
        lost_events = hole.events(),
        "events of a key are missing from their topic"
    );
}

fn report(record: &Record, outcome: &Outcome) {
    let place = &record.place;
    let (id, event_type) = (record.header("ce_id"), record.header("ce_type"));
    match outcome {
        Outcome::DeadLettered(error) => tracing::error!(
            topic = place.topic,
            partition = place.partition,
            offset = place.offset,
            key = record.key,
            event.id = id,
            "event.type" = event_type,
            error,
            "an event can't be handled: it is a dead letter, and later events of its key wait"
        ),
        Outcome::QueuedBehind => tracing::warn!(
            topic = place.topic,
            key = record.key,
            event.id = id,
            "event.type" = event_type,
            "an event waits behind a dead letter of its key"
        ),
        Outcome::Ignored(why) => {
            tracing::debug!(topic = place.topic, key = record.key, event.id = id, "event.type" = event_type, why = %why, "an event changed nothing");
        }
        Outcome::Skipped => {
            tracing::debug!(topic = place.topic, "event.type" = event_type, "an event of an unknown type was skipped")
        }
        Outcome::Applied | Outcome::Duplicate => {}
    }
}
