//! Fires claimed timers.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Double, Integer, Text, Timestamptz};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use super::Timers;
use super::claim::Due;
use crate::consumer::{ReactionError, panicked};
use crate::pool::is_lock_timeout;
use crate::retry::wait_after;
use crate::trace::{self, Kind, Span, Told};

/// How many timers one transaction fires.
const BATCH: usize = 50;
/// How long a batch waits for locks on root rows. It is short because the other claimed timers wait meanwhile, and a
/// claim lasts only 30 s.
const WAIT_FOR_ROOTS: &str = "200ms";
/// How long each timer of a failed batch waits for its root: the batch has waited already, so whoever holds a root
/// most likely still does.
const WAIT_FOR_ROOT: &str = "10ms";
/// When a timer whose root was locked is tried again.
const LOCKED: Duration = Duration::from_millis(500);
/// A timer that fails is retried after about a second at first, and after a minute in the end.
const FIRST: Duration = Duration::from_secs(1);
const CAP: Duration = Duration::from_secs(60);

/// Fires claimed timers and returns how many fired. If one of a batch fails, the transaction is rolled back and each
/// timer of the batch is tried alone. Timers that have not fired when `stop` is cancelled are left to another
/// instance, once their claim has expired.
pub(super) async fn all<T: Timers>(
    conn: &mut AsyncPgConnection,
    timers: &T,
    claimed: &[Due],
    stop: &CancellationToken,
) -> QueryResult<usize> {
    let mut fired = 0;
    for batch in claimed.chunks(BATCH).take_while(|_| !stop.is_cancelled()) {
        match together(conn, timers, batch, WAIT_FOR_ROOTS).await {
            Ok(all) => fired += all,
            Err(_) if batch.len() > 1 => {
                for due in batch.iter().take_while(|_| !stop.is_cancelled()) {
                    fired += one(conn, timers, due).await?;
                }
            }
            Err(error) => put_off(conn, &batch[0], &error).await?,
        }
    }
    Ok(fired)
}

async fn one<T: Timers>(conn: &mut AsyncPgConnection, timers: &T, due: &Due) -> QueryResult<usize> {
    match together(conn, timers, std::slice::from_ref(due), WAIT_FOR_ROOT).await {
        Ok(fired) => Ok(fired),
        Err(error) => put_off(conn, due, &error).await.map(|()| 0),
    }
}

/// Fires a batch in one transaction. It skips timers that were cancelled, moved or fired since they were claimed.
async fn together<T: Timers>(
    conn: &mut AsyncPgConnection,
    timers: &T,
    batch: &[Due],
    patience: &str,
) -> Result<usize, ReactionError> {
    let fired = conn
        .transaction(async |conn| {
            let mut keys: Vec<_> = batch.iter().map(|due| due.key.as_str()).collect();
            keys.sort_unstable();
            keys.dedup();
            let before = wait_for_locks(conn, patience).await?;
            let mut loaded = timers.load(conn, &keys).await?;
            wait_for_locks(conn, &before).await?;
            let still = take_away(conn, batch).await?;
            let fires = |due: &&Due| still.contains(&(due.kind.clone(), due.key.clone()));
            // What a timer sets off is a trace of its own.
            let fired: Vec<_> = batch.iter().filter(fires).map(|due| (due, Span::begin(None))).collect();
            // A panic counts as a failure; otherwise it would end the worker.
            let work = AssertUnwindSafe(async {
                for (due, traced) in &fired {
                    let span = tracing::info_span!("timer", kind = due.kind, key = due.key);
                    let fire = || span.in_scope(|| timers.fire(&mut loaded, &due.kind, &due.key));
                    trace::during(traced.context(), fire)?;
                }
                timers.save(conn, loaded).await
            });
            work.catch_unwind().await.unwrap_or_else(panicked)?;
            Ok::<_, ReactionError>(fired)
        })
        .await?;
    for (due, traced) in &fired {
        traced.end(None, || Told::new(Kind::Internal, format!("timer {}", due.kind)));
        metrics::counter!("timers_fired_total", "kind" => due.kind.clone()).increment(1);
        let late = (Utc::now() - due.due_at).to_std().unwrap_or_default();
        metrics::histogram!("timer_late_seconds", "kind" => due.kind.clone()).record(late.as_secs_f64());
    }
    if !fired.is_empty() {
        timers.committed();
    }
    Ok(fired.len())
}

/// Sets how long this transaction waits for a lock from now on, and returns the previous setting.
async fn wait_for_locks(conn: &mut AsyncPgConnection, patience: &str) -> QueryResult<String> {
    #[derive(QueryableByName)]
    struct Before {
        #[diesel(sql_type = Text)]
        before: String,
    }
    let set = "with known as materialized (select current_setting('lock_timeout') as before) \
               select before from known where set_config('lock_timeout', $1, true) is not null";
    let known: Before = diesel::sql_query(set).bind::<Text, _>(patience).get_result(conn).await?;
    Ok(known.before)
}

/// Deletes the timers that are unchanged since they were claimed, and returns them.
async fn take_away(conn: &mut AsyncPgConnection, batch: &[Due]) -> QueryResult<HashSet<(String, String)>> {
    #[derive(QueryableByName)]
    struct Taken {
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = Text)]
        key: String,
    }
    let kinds: Vec<_> = batch.iter().map(|due| due.kind.as_str()).collect();
    let keys: Vec<_> = batch.iter().map(|due| due.key.as_str()).collect();
    let moments: Vec<DateTime<Utc>> = batch.iter().map(|due| due.due_at).collect();
    let taken: Vec<Taken> = diesel::sql_query(
        "delete from timers using unnest($1, $2, $3) as claimed (kind, key, due_at) \
         where timers.kind = claimed.kind and timers.key = claimed.key and timers.due_at = claimed.due_at \
         returning timers.kind, timers.key",
    )
    .bind::<Array<Text>, _>(kinds)
    .bind::<Array<Text>, _>(keys)
    .bind::<Array<Timestamptz>, _>(moments)
    .load(conn)
    .await?;
    Ok(taken.into_iter().map(|taken| (taken.kind, taken.key)).collect())
}

/// Puts off a timer that could not be fired. If its root was locked, that doesn't count as an attempt.
async fn put_off(conn: &mut AsyncPgConnection, due: &Due, error: &ReactionError) -> QueryResult<()> {
    let locked = is_lock_timeout(error);
    let wait = if locked {
        tracing::debug!(kind = due.kind, key = due.key, "a timer waits for its root, which is locked");
        LOCKED
    } else {
        tracing::warn!(kind = due.kind, key = due.key, attempts = due.attempts + 1, error = %error, "a timer failed and will be retried");
        metrics::counter!("timers_failed_total", "kind" => due.kind.clone()).increment(1);
        wait_after(due.attempts.unsigned_abs(), FIRST, CAP)
    };
    diesel::sql_query(
        "update timers set attempts = attempts + $5, not_before = clock_timestamp() + make_interval(secs => $1) \
         where kind = $2 and key = $3 and due_at = $4",
    )
    .bind::<Double, _>(wait.as_secs_f64())
    .bind::<Text, _>(&due.kind)
    .bind::<Text, _>(&due.key)
    .bind::<Timestamptz, _>(due.due_at)
    .bind::<Integer, _>(i32::from(!locked))
    .execute(conn)
    .await
    .map(drop)
}
