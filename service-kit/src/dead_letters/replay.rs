//! Carries out replays, in the service's own consumer.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::max;
use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use super::{free_if_empty, hold, measure, of_key, read_headers};
use crate::consumer::{
    DeadLetterSink, Outcome, Place, ReactionError, Reactions, Record, Undecodable, Work, about, panicked, processed,
    react, shortened,
};
use crate::retry::Recurring;
use crate::schema::dead_letters;
use crate::trace::{self, Context, Kind, Span, Told, semconv};

/// How often the consumer looks for requested replays, while there are dead letters.
const EVERY: Duration = Duration::from_secs(1);
/// How often it looks whether there are dead letters.
const IDLE: Duration = Duration::from_secs(5);

/// Counts the dead letters and carries out requested replays, until told to stop.
pub(crate) async fn carry_out<R: Reactions, S: DeadLetterSink>(work: &Work<R, S>, stop: &CancellationToken) {
    let (mut uncounted, mut unreplayed) = (Recurring::default(), Recurring::default());
    let mut wait = EVERY;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        let counted = count(work).await;
        if uncounted.is_news(&counted)
            && let Err(error) = &counted
        {
            tracing::warn!(error = %error, "dead letters can't be counted now");
        }
        wait = if counted.is_ok_and(|letters| letters == 0) { IDLE } else { EVERY };
        if wait == IDLE {
            continue;
        }
        // If counting failed there may be some.
        let replayed = replay_requested(work, stop).await;
        if unreplayed.is_news(&replayed)
            && let Err(error) = &replayed
        {
            tracing::warn!(error = %error, "a replay could not be carried out now; it is tried again");
        }
    }
}

async fn count<R: Reactions, S: DeadLetterSink>(work: &Work<R, S>) -> Result<i64, ReactionError> {
    let mut conn = work.upkeep.get().await?;
    Ok(measure(&mut conn, work.handle.group()).await?.letters)
}

async fn replay_requested<R: Reactions, S: DeadLetterSink>(
    work: &Work<R, S>,
    stop: &CancellationToken,
) -> Result<(), ReactionError> {
    let consumer = work.handle.group();
    while !stop.is_cancelled() {
        let Some((topic, key)) = first_requested(work).await? else { return Ok(()) };
        let mut conn = work.pool.get().await?;
        match replay_first(work, &mut conn, &topic, &key).await {
            Ok(replayed) => {
                work.reactions.committed();
                metrics::counter!("consumer_replays_total", "topic" => topic.clone(), "outcome" => "replayed")
                    .increment(u64::from(replayed.is_some()));
                replayed.into_iter().for_each(|replayed| replayed.tell(consumer));
            }
            Err(ReactionError::Permanent(error)) => {
                metrics::counter!("consumer_replays_total", "topic" => topic.clone(), "outcome" => "failed")
                    .increment(1);
                tracing::error!(topic, key, error = %format!("{error:#}"), "a replay failed: the key stays parked");
                give_up(&mut conn, consumer, &topic, &key, &error).await?;
            }
            Err(passing) => return Err(passing),
        }
    }
    Ok(())
}

/// The topic and key of the first requested replay.
async fn first_requested<R: Reactions, S: DeadLetterSink>(
    work: &Work<R, S>,
) -> Result<Option<(String, String)>, ReactionError> {
    let mut conn = work.upkeep.get().await?;
    let wanted = dead_letters::table
        .filter(dead_letters::consumer.eq(work.handle.group()))
        .filter(dead_letters::replay_requested_at.is_not_null())
        .order(dead_letters::id)
        .select((dead_letters::topic, dead_letters::key));
    Ok(wanted.first(&mut conn).await.optional()?)
}

/// Handles the first event of a key's queue and removes it, in one transaction. Returns nothing if another member was
/// faster.
async fn replay_first<R: Reactions, S: DeadLetterSink>(
    work: &Work<R, S>,
    conn: &mut AsyncPgConnection,
    topic: &str,
    key: &str,
) -> Result<Option<Replayed>, ReactionError> {
    let consumer = work.handle.group();
    conn.transaction(async |conn| {
        // While this lock is held, no event can join the queue.
        hold(conn, consumer, topic, key).await?;
        if !ask_for_latecomers(conn, consumer, topic, key).await? {
            return Ok(None);
        }
        let Some((id, buried_at, record)) = first(conn, consumer, topic, key).await? else { return Ok(None) };
        let span = Span::begin(record.context());
        let handled = std::panic::AssertUnwindSafe(handle(&*work.reactions, conn, &record, span.context()));
        let outcome = handled.catch_unwind().await.unwrap_or_else(panicked)?;
        diesel::delete(dead_letters::table.find(id)).execute(conn).await?;
        free_if_empty(conn, consumer, topic, key).await?;
        tracing::info!(
            topic,
            key,
            offset = record.place.offset,
            outcome = outcome.label(),
            "a dead letter was replayed"
        );
        Ok(Some(Replayed { record, outcome, buried_at, span }))
    })
    .await
}

/// An event that was replayed, and since when it had waited for that.
struct Replayed {
    record: Record,
    outcome: Outcome,
    buried_at: DateTime<Utc>,
    span: Span,
}

impl Replayed {
    /// Tells of it, in the trace of the event.
    fn tell(self, consumer: &str) {
        let Self { record, outcome, buried_at, span } = self;
        if let Some(sent) = record.context() {
            let told = || about(&record, Told::new(Kind::Internal, "wait dead_letters"));
            trace::waited(sent, buried_at.into(), span.since(), told);
        }
        span.end(None, || processed(consumer, &record, &outcome).with(semconv::MESSAGING_OPERATION_NAME, "replay"));
    }
}

/// Adds the events that joined the queue after the request to the replay; otherwise the key would stay parked.
/// Returns false if no request is open any more: another member has carried it out, or given it up.
async fn ask_for_latecomers(conn: &mut AsyncPgConnection, consumer: &str, topic: &str, key: &str) -> QueryResult<bool> {
    let asked: Option<DateTime<Utc>> =
        of_key(consumer, topic, key).select(max(dead_letters::replay_requested_at)).first(conn).await?;
    if asked.is_some() {
        diesel::update(of_key(consumer, topic, key).filter(dead_letters::replay_requested_at.is_null()))
            .set(dead_letters::replay_requested_at.eq(asked))
            .execute(conn)
            .await?;
    }
    Ok(asked.is_some())
}

async fn handle<R: Reactions>(
    reactions: &R,
    conn: &mut AsyncPgConnection,
    record: &Record,
    traced: Context,
) -> Result<Outcome, ReactionError> {
    let incoming = record.decode(reactions).map_err(|why| {
        ReactionError::Permanent(match why {
            Undecodable::UnknownType => anyhow::anyhow!("this build does not know its type"),
            Undecodable::Malformed(error) => anyhow::anyhow!(error),
        })
    })?;
    let mut loaded = reactions.load(conn, std::slice::from_ref(&incoming)).await?;
    let handled = react(reactions, &mut loaded, &incoming, traced)?;
    reactions.save(conn, loaded).await?;
    Ok(handled.into())
}

/// Stores the failure with the first event of the queue, and ends the request.
async fn give_up(
    conn: &mut AsyncPgConnection,
    consumer: &str,
    topic: &str,
    key: &str,
    error: &anyhow::Error,
) -> QueryResult<()> {
    conn.transaction(async |conn| {
        hold(conn, consumer, topic, key).await?;
        if let Some((id, ..)) = first(conn, consumer, topic, key).await? {
            diesel::update(dead_letters::table.find(id))
                .set((
                    dead_letters::error.eq(shortened(&format!("{error:#}"))),
                    dead_letters::attempts.eq(dead_letters::attempts + 1),
                ))
                .execute(conn)
                .await?;
        }
        diesel::update(of_key(consumer, topic, key))
            .set(dead_letters::replay_requested_at.eq(None::<DateTime<Utc>>))
            .execute(conn)
            .await
            .map(drop)
    })
    .await
}

/// Reads the first event of a queue and locks its row. The lock is for compacted topics, whose keys are not parked
/// and so can't be locked.
async fn first(
    conn: &mut AsyncPgConnection,
    consumer: &str,
    topic: &str,
    key: &str,
) -> QueryResult<Option<(i64, DateTime<Utc>, Record)>> {
    type Row = (i64, i32, i64, serde_json::Value, Option<Vec<u8>>, DateTime<Utc>);
    let row: Option<Row> = of_key(consumer, topic, key)
        .order(dead_letters::id)
        .limit(1)
        .for_update()
        .select((
            dead_letters::id,
            dead_letters::partition,
            dead_letters::record_offset,
            dead_letters::headers,
            dead_letters::value,
            dead_letters::buried_at,
        ))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(|(id, partition, offset, headers, value, buried_at)| {
        let place = Place { topic: topic.to_owned(), partition, offset };
        (id, buried_at, Record { place, key: key.to_owned(), headers: read_headers(headers), value, arrival: None })
    }))
}
