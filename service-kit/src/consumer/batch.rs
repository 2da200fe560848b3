//! A batch of records, handled in one transaction: those of one partition, or of several lanes that had work at once.

use std::any::Any;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use anyhow::anyhow;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::{join, join3};

use super::dead_letter::{self, Failure};
use super::traced::BatchTrace;
use super::{
    DeadLetterSink, Handled, Incoming, Mode, Outcome, ReactionError, Reactions, Record, Undecodable, Why, inbox,
    progress,
};
use crate::trace::{self, Context};
use crate::transaction::Transaction;

pub(crate) struct Handler<'a, R, S> {
    pub consumer: &'a str,
    pub reactions: &'a R,
    pub sink: &'a S,
    pub range: inbox::Range,
    /// How often these records have been tried, this attempt included.
    pub attempts: i32,
    /// How long it waits for a lock that somebody else holds, if not as long as its connection says.
    pub lock_patience: Option<Duration>,
}

/// What to do about one record of a batch.
enum RecordAction {
    /// React to the next event of [`Plan::fresh`].
    React,
    /// Make it a dead letter: it can't be decoded, the inbox can't tell its age, or its reaction failed permanently.
    DeadLetter(String),
    /// Store it behind the dead letter that parked its key.
    Queue,
    Done(Outcome),
}

/// An action for each record, and the decoded events that the service reacts to.
struct Plan<E> {
    actions: Vec<RecordAction>,
    fresh: Vec<Incoming<E>>,
}

impl<R: Reactions, S: DeadLetterSink> Handler<'_, R, S> {
    /// What becomes of records none of which concerns the service. They cost no transaction. None if one does.
    pub fn pass_over(&self, records: &[Record]) -> Option<Vec<Outcome>> {
        // A decoder's panic is told where it makes a dead letter.
        std::panic::catch_unwind(AssertUnwindSafe(|| self.concern_nobody(records))).unwrap_or_default()
    }

    fn concern_nobody(&self, records: &[Record]) -> Option<Vec<Outcome>> {
        let outcome = |record: &Record| match record.decode(self.reactions) {
            Ok(incoming) if !self.reactions.concerns(&incoming.event) => Some(Outcome::Ignored(Why::NotForUs)),
            Err(Undecodable::UnknownType) => Some(Outcome::Skipped),
            _ => None,
        };
        records.iter().map(outcome).collect()
    }

    /// Handles records in one transaction, in their order. All are read in the same mode.
    ///
    /// # Errors
    /// Fails as the reactions or the database do; the transaction is rolled back, so nothing has changed.
    pub async fn handle(
        &self,
        conn: &mut AsyncPgConnection,
        mode: Mode,
        records: &[&Record],
    ) -> Result<Vec<Outcome>, ReactionError> {
        let traced = BatchTrace::begin(self.consumer, mode, records);
        let handled = trace::within(traced.context(), self.handle_traced(conn, mode, records, &traced)).await;
        traced.end(&handled);
        handled
    }

    async fn handle_traced(
        &self,
        conn: &mut AsyncPgConnection,
        mode: Mode,
        records: &[&Record],
        traced: &BatchTrace<'_>,
    ) -> Result<Vec<Outcome>, ReactionError> {
        let mut transaction = Transaction::on(conn)?;
        // The panic is caught before the transaction ends, so that it is rolled back.
        let handled = self.in_transaction(&mut transaction, mode, records, traced);
        let handled = AssertUnwindSafe(handled).catch_unwind().await;
        let mut handled = handled.unwrap_or_else(panicked);
        if handled.is_ok()
            && let Err(error) = self.commit(&transaction, records).await
        {
            handled = Err(error);
        }
        transaction.end(handled).await
    }

    /// Commits, and notes with it how far the lanes came.
    async fn commit(&self, transaction: &Transaction<'_>, records: &[&Record]) -> Result<(), ReactionError> {
        let noted = progress::note(transaction.conn(), self.consumer, records);
        let (noted, committed) = join(noted, transaction.commit()).await;
        noted?;
        Ok(committed?)
    }

    /// Makes a dead letter of a record whose reaction failed permanently, in a transaction of its own.
    ///
    /// # Errors
    /// Fails as the database or the sink does; the transaction is rolled back, so nothing has changed.
    pub async fn dead_letter(
        &self,
        conn: &mut AsyncPgConnection,
        mode: Mode,
        record: &Record,
        error: &str,
    ) -> Result<Outcome, ReactionError> {
        let traced = BatchTrace::begin(self.consumer, mode, &[record]);
        let mut transaction = Transaction::on(conn)?;
        let written = self.dead_letter_in(&mut transaction, mode, record, error).await;
        let written = transaction.end(written).await.map(|outcome| vec![outcome]);
        traced.end(&written);
        written.map(|mut outcomes| outcomes.swap_remove(0))
    }

    async fn dead_letter_in(
        &self,
        transaction: &mut Transaction<'_>,
        mode: Mode,
        record: &Record,
        error: &str,
    ) -> Result<Outcome, ReactionError> {
        transaction.begin().await?;
        if mode == Mode::Inbox
            && let Some(id) = record.event_id().filter(|id| self.range.refuses(*id).is_none())
            && inbox::insert(transaction.conn(), self.consumer, &[id]).await?.is_empty()
        {
            return Ok(Outcome::Duplicate);
        }
        let outcome = self.write_dead_letter(transaction.conn_mut(), mode, record, error).await?;
        progress::note(transaction.conn(), self.consumer, &[record]).await?;
        Ok(outcome)
    }

    async fn in_transaction(
        &self,
        transaction: &mut Transaction<'_>,
        mode: Mode,
        records: &[&Record],
        traced: &BatchTrace<'_>,
    ) -> Result<Vec<Outcome>, ReactionError> {
        let mut plan = match mode {
            Mode::Inbox => self.plan_once_each(transaction, records).await?,
            Mode::LatestPerKey => {
                transaction.begin().await?;
                self.plan_latest(records)
            }
        };
        let conn = transaction.conn_mut();
        if !plan.fresh.is_empty() {
            let mut loaded = self.reactions.load(conn, &plan.fresh).await?;
            self.decide(mode, records, traced, &mut plan, &mut loaded)?;
            self.reactions.save(conn, loaded).await?;
        }
        let mut outcomes = Vec::with_capacity(records.len());
        for (record, action) in records.iter().zip(plan.actions) {
            outcomes.push(match action {
                RecordAction::Done(outcome) => outcome,
                RecordAction::Queue => {
                    dead_letter::queue_behind(conn, self.consumer, record).await?;
                    Outcome::QueuedBehind
                }
                RecordAction::DeadLetter(error) => self.write_dead_letter(conn, mode, record, &error).await?,
                RecordAction::React => return Err(ReactionError::Permanent(anyhow!("a reaction without its event"))),
            });
        }
        Ok(outcomes)
    }

    /// Lets the service decide about the new events, in order. An event that fails permanently becomes a dead letter,
    /// and later events of its key queue behind it. A panic is caught in [`Self::handle`], which drops `loaded`
    /// unsaved.
    fn decide(
        &self,
        mode: Mode,
        records: &[&Record],
        traced: &BatchTrace<'_>,
        plan: &mut Plan<R::Event>,
        loaded: &mut R::Loaded,
    ) -> Result<(), ReactionError> {
        let (mut fresh, mut parked) = (plan.fresh.iter(), HashSet::new());
        for (place, (record, action)) in records.iter().zip(&mut plan.actions).enumerate() {
            let incoming = match action {
                RecordAction::React => fresh.next(),
                RecordAction::DeadLetter(_) => None,
                RecordAction::Queue | RecordAction::Done(_) => continue,
            };
            if parked.contains(&record.topic_and_key()) {
                *action = RecordAction::Queue;
            } else if let Some(incoming) = incoming {
                *action = match react(self.reactions, loaded, incoming, traced.of(place)) {
                    Ok(handled) => RecordAction::Done(handled.into()),
                    Err(ReactionError::Permanent(error)) => {
                        if mode == Mode::Inbox {
                            parked.insert(record.topic_and_key());
                        }
                        RecordAction::DeadLetter(format!("{error:#}"))
                    }
                    Err(passing) => return Err(passing),
                };
            }
        }
        Ok(())
    }

    /// Begins the transaction, notes the batch in the inbox and decides which records are new and which must queue behind a
    /// dead letter.
    async fn plan_once_each(
        &self,
        transaction: &Transaction<'_>,
        records: &[&Record],
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
        let (noted, parked) = (
            inbox::insert(transaction.conn(), self.consumer, &ids),
            dead_letter::parked(transaction.conn(), self.consumer, records),
        );
        let (begun, new, parked) = join3(transaction.begin_waiting(self.lock_patience), noted, parked).await;
        begun?;
        let (mut new, parked) = (new?, parked?);
        let mut parked: HashSet<_> = parked.iter().map(|(topic, key)| (topic.as_str(), key.as_str())).collect();

        let mut plan = Plan { actions: Vec::with_capacity(records.len()), fresh: Vec::with_capacity(records.len()) };
        for (record, decoded) in records.iter().zip(decoded) {
            let duplicate = place_in_inbox(record).is_some_and(|id| !new.remove(&id));
            let refused = record.event_id().and_then(|id| self.range.refuses(id));
            plan.actions.push(match (decoded, refused) {
                (Err(Undecodable::UnknownType), _) => RecordAction::Done(Outcome::Skipped),
                (Ok(incoming), _) if !self.reactions.concerns(&incoming.event) => {
                    RecordAction::Done(Outcome::Ignored(Why::NotForUs))
                }
                _ if duplicate => RecordAction::Done(Outcome::Duplicate),
                _ if parked.contains(&record.topic_and_key()) => RecordAction::Queue,
                (Err(Undecodable::Malformed(error)), _) => {
                    parked.insert(record.topic_and_key());
                    RecordAction::DeadLetter(error)
                }
                (Ok(_), Some(reason)) => {
                    parked.insert(record.topic_and_key());
                    RecordAction::DeadLetter(reason.to_owned())
                }
                (Ok(incoming), None) => {
                    plan.fresh.push(incoming);
                    RecordAction::React
                }
            });
        }
        Ok(plan)
    }

    fn plan_latest(&self, records: &[&Record]) -> Plan<R::Event> {
        let mut plan = Plan { actions: Vec::with_capacity(records.len()), fresh: Vec::with_capacity(records.len()) };
        for record in records {
            // A tombstone has no value: it only lets compaction drop the key.
            let decoded = record.value.as_ref().map(|_| record.decode(self.reactions));
            plan.actions.push(match decoded {
                None | Some(Err(Undecodable::UnknownType)) => RecordAction::Done(Outcome::Skipped),
                Some(Err(Undecodable::Malformed(error))) => RecordAction::DeadLetter(error),
                Some(Ok(incoming)) => {
                    plan.fresh.push(incoming);
                    RecordAction::React
                }
            });
        }
        plan
    }

    async fn write_dead_letter(
        &self,
        conn: &mut AsyncPgConnection,
        mode: Mode,
        record: &Record,
        error: &str,
    ) -> Result<Outcome, ReactionError> {
        let failure = Failure { error, attempts: self.attempts };
        let new = dead_letter::write(conn, self.sink, self.consumer, mode, record, &failure).await?;
        Ok(if new { Outcome::DeadLettered(error.to_owned()) } else { Outcome::Duplicate })
    }
}

/// Runs the service's reaction as the work of this span, which is in the event's trace.
pub(crate) fn react<R: Reactions>(
    reactions: &R,
    loaded: &mut R::Loaded,
    incoming: &Incoming<R::Event>,
    traced: Context,
) -> Result<Handled, ReactionError> {
    let span = span_of(incoming);
    trace::during(traced, || span.in_scope(|| reactions.react(loaded, incoming)))
}

fn span_of<E>(incoming: &Incoming<E>) -> tracing::Span {
    let envelope = &incoming.envelope;
    tracing::info_span!(
        "react",
        event.id = %envelope.id,
        "event.type" = envelope.event_type,
        correlation.id = envelope.correlation_id,
        key = incoming.key,
    )
}

/// Turns a panic into a permanent failure that carries the panic's message.
pub(crate) fn panicked<T>(panic: Box<dyn Any + Send>) -> Result<T, ReactionError> {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Err(ReactionError::Permanent(anyhow!("panicked: {}", words.unwrap_or("without words"))))
}
