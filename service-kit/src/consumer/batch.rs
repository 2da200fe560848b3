//! A batch of records of one partition, handled in one transaction.

use std::any::Any;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;

use anyhow::anyhow;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use futures_util::FutureExt;

use super::bury::{self, Failure};
use super::{
    DeadLetterSink, Handled, Incoming, Mode, Outcome, ReactionError, Reactions, Record, Undecodable, Why, inbox,
    progress,
};
use crate::trace;

/// Who handles: the consumer group, what the service does, and where copies of dead letters go.
pub(crate) struct Handler<'a, R, S> {
    pub consumer: &'a str,
    pub reactions: &'a R,
    pub sink: &'a S,
    pub range: inbox::Range,
    /// How often these records have been tried, this time included.
    pub attempts: i32,
}

/// What is to be done about one record of a batch.
enum Step {
    /// The next of the plan's fresh events.
    React,
    /// It can't be read, its age can't be told, or its reaction failed for good.
    Bury(String),
    /// Its key is parked.
    Queue,
    Done(Outcome),
}

/// A step for each record, and the events to react to.
struct Plan<E> {
    steps: Vec<Step>,
    fresh: Vec<Incoming<E>>,
}

impl<R: Reactions, S: DeadLetterSink> Handler<'_, R, S> {
    /// Handles records of one partition in one transaction, in their order.
    ///
    /// # Errors
    /// Nothing is changed then.
    pub async fn handle(
        &self,
        conn: &mut AsyncPgConnection,
        mode: Mode,
        records: &[Record],
    ) -> Result<Vec<Outcome>, ReactionError> {
        conn.transaction(async |conn| {
            // a panic becomes an error here, inside, so that the transaction is rolled back in order
            AssertUnwindSafe(self.in_transaction(conn, mode, records)).catch_unwind().await.unwrap_or_else(panicked)
        })
        .await
    }

    /// Makes a dead letter of a record whose reaction failed for good, in a transaction of its own.
    ///
    /// # Errors
    /// Nothing is changed then.
    pub async fn bury(
        &self,
        conn: &mut AsyncPgConnection,
        mode: Mode,
        record: &Record,
        error: &str,
    ) -> Result<Outcome, ReactionError> {
        conn.transaction(async |conn| {
            if mode == Mode::Inbox
                && let Some(id) = record.event_id().filter(|id| self.range.refuses(*id).is_none())
                && inbox::insert(conn, self.consumer, &[id]).await?.is_empty()
            {
                return Ok(Outcome::Duplicate);
            }
            let outcome = self.bury_within(conn, mode, record, error).await?;
            progress::note(conn, self.consumer, record).await?;
            Ok(outcome)
        })
        .await
    }

    async fn in_transaction(
        &self,
        conn: &mut AsyncPgConnection,
        mode: Mode,
        records: &[Record],
    ) -> Result<Vec<Outcome>, ReactionError> {
        let mut plan = match mode {
            Mode::Inbox => self.plan_once_each(conn, records).await?,
            Mode::LatestPerKey => self.plan_latest(records),
        };
        if !plan.fresh.is_empty() {
            let mut loaded = self.reactions.load(conn, &plan.fresh).await?;
            self.decide(mode, records, &mut plan, &mut loaded)?;
            self.reactions.save(conn, loaded).await?;
        }
        let mut outcomes = Vec::with_capacity(records.len());
        for (record, step) in records.iter().zip(plan.steps) {
            outcomes.push(match step {
                Step::Done(outcome) => outcome,
                Step::Queue => {
                    bury::behind(conn, self.consumer, record).await?;
                    Outcome::QueuedBehind
                }
                Step::Bury(error) => self.bury_within(conn, mode, record, &error).await?,
                Step::React => return Err(ReactionError::Permanent(anyhow!("a step without its event"))),
            });
        }
        if let Some(last) = records.last() {
            progress::note(conn, self.consumer, last).await?;
        }
        Ok(outcomes)
    }

    /// Lets the service decide about the new events, in order. One that fails for good is to be buried, and what follows of
    /// its key waits behind it. A panic goes on to [`Self::handle`]: what it leaves in `loaded` is never saved.
    fn decide(
        &self,
        mode: Mode,
        records: &[Record],
        plan: &mut Plan<R::Event>,
        loaded: &mut R::Loaded,
    ) -> Result<(), ReactionError> {
        let (mut fresh, mut parked) = (plan.fresh.iter(), HashSet::new());
        for (record, step) in records.iter().zip(&mut plan.steps) {
            let incoming = match step {
                Step::React => fresh.next(),
                Step::Bury(_) => None,
                Step::Queue | Step::Done(_) => continue,
            };
            if parked.contains(record.key.as_str()) {
                *step = Step::Queue;
            } else if let Some(incoming) = incoming {
                *step = match react(self.reactions, loaded, incoming) {
                    Ok(handled) => Step::Done(handled.into()),
                    Err(ReactionError::Permanent(error)) => {
                        if mode == Mode::Inbox {
                            parked.insert(record.key.as_str());
                        }
                        Step::Bury(format!("{error:#}"))
                    }
                    Err(passing) => return Err(passing),
                };
            }
        }
        Ok(())
    }

    /// Notes the batch in the inbox, and tells what is new and what must wait.
    async fn plan_once_each(
        &self,
        conn: &mut AsyncPgConnection,
        records: &[Record],
    ) -> Result<Plan<R::Event>, ReactionError> {
        let decoded: Vec<_> = records.iter().map(|record| record.decode(self.reactions)).collect();
        let place_in_inbox = |record: &Record| record.event_id().filter(|id| self.range.refuses(*id).is_none());
        let ids: Vec<_> = records
            .iter()
            .zip(&decoded)
            .filter(|(_, decoded)| match decoded {
                Ok(incoming) => self.reactions.concerns(&incoming.event),
                Err(why) => *why != Undecodable::UnknownType,
            })
            .filter_map(|(record, _)| place_in_inbox(record))
            .collect();
        let mut new = inbox::insert(conn, self.consumer, &ids).await?;
        let mut parked = bury::parked(conn, self.consumer, records).await?;

        let mut plan = Plan { steps: Vec::with_capacity(records.len()), fresh: Vec::with_capacity(records.len()) };
        for (record, decoded) in records.iter().zip(decoded) {
            let duplicate = place_in_inbox(record).is_some_and(|id| !new.remove(&id));
            let refused = record.event_id().and_then(|id| self.range.refuses(id));
            plan.steps.push(match (decoded, refused) {
                (Err(Undecodable::UnknownType), _) => Step::Done(Outcome::Skipped),
                (Ok(incoming), _) if !self.reactions.concerns(&incoming.event) => {
                    Step::Done(Outcome::Ignored(Why::NotForUs))
                }
                _ if duplicate => Step::Done(Outcome::Duplicate),
                _ if parked.contains(&record.key) => Step::Queue,
                (Err(Undecodable::Poison(error)), _) => {
                    parked.insert(record.key.clone());
                    Step::Bury(error)
                }
                (Ok(_), Some(reason)) => {
                    parked.insert(record.key.clone());
                    Step::Bury(reason.to_owned())
                }
                (Ok(incoming), None) => {
                    plan.fresh.push(incoming);
                    Step::React
                }
            });
        }
        Ok(plan)
    }

    fn plan_latest(&self, records: &[Record]) -> Plan<R::Event> {
        let mut plan = Plan { steps: Vec::with_capacity(records.len()), fresh: Vec::with_capacity(records.len()) };
        for record in records {
            // a tombstone: compaction may forget the key
            let decoded = record.value.as_ref().map(|_| record.decode(self.reactions));
            plan.steps.push(match decoded {
                None | Some(Err(Undecodable::UnknownType)) => Step::Done(Outcome::Skipped),
                Some(Err(Undecodable::Poison(error))) => Step::Bury(error),
                Some(Ok(incoming)) => {
                    plan.fresh.push(incoming);
                    Step::React
                }
            });
        }
        plan
    }

    async fn bury_within(
        &self,
        conn: &mut AsyncPgConnection,
        mode: Mode,
        record: &Record,
        error: &str,
    ) -> Result<Outcome, ReactionError> {
        let failure = Failure { error, attempts: self.attempts };
        let new = bury::poison(conn, self.sink, self.consumer, mode, record, &failure).await?;
        Ok(if new { Outcome::DeadLettered(error.to_owned()) } else { Outcome::Duplicate })
    }
}

/// Lets the service react to one event, in a span and in the trace of the change that it tells of.
pub(crate) fn react<R: Reactions>(
    reactions: &R,
    loaded: &mut R::Loaded,
    incoming: &Incoming<R::Event>,
) -> Result<Handled, ReactionError> {
    let span = span_of(incoming);
    trace::during(incoming.envelope.traceparent.as_deref(), || span.in_scope(|| reactions.react(loaded, incoming)))
}

pub(super) fn span_of<E>(incoming: &Incoming<E>) -> tracing::Span {
    let envelope = &incoming.envelope;
    tracing::info_span!(
        "react",
        event.id = %envelope.id,
        "event.type" = envelope.event_type,
        correlation.id = envelope.correlation_id,
        key = incoming.key,
    )
}

/// A panic's words, as a failure that won't pass.
pub(crate) fn panicked<T>(panic: Box<dyn Any + Send>) -> Result<T, ReactionError> {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Err(ReactionError::Permanent(anyhow!("panicked: {}", words.unwrap_or("without words"))))
}
