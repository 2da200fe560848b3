//! Timers: what is to happen at a moment, unless it is cancelled before.
//!
//! The clock is the database's. A timer fires only when the service has heard everything up to its due time in the
//! key's partition of every topic that it hears through the inbox, so that an outage of its own, or of the brokers,
//! doesn't fire them all; the timers of a parked key wait with it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Integer, Text, Timestamptz};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::Pool;
use crate::consumer::{ConsumerHandle, ReactionError, key_hash, panicked};
use crate::retry::wait_after;
use crate::schema::timers;

/// How often due timers are looked for.
const EVERY: Duration = Duration::from_millis(500);
/// So many are fired before the worker looks whether it is to stop.
const AT_ONCE: i64 = 100;
/// A timer that fails is tried again after a second first, and every minute in the end.
const FIRST: Duration = Duration::from_secs(1);
const CAP: Duration = Duration::from_secs(60);

/// What a service does when a timer is due.
pub trait Timers: Send + Sync + 'static {
    /// Locks the key's root row, as every command and reaction that speaks for the key does first.
    fn lock(&self, conn: &mut AsyncPgConnection, key: &str) -> impl Future<Output = Result<(), ReactionError>> + Send;

    /// Does what is due, in the transaction that takes the timer away. It may be set anew here.
    fn fire(
        &self,
        conn: &mut AsyncPgConnection,
        kind: &str,
        key: &str,
    ) -> impl Future<Output = Result<(), ReactionError>> + Send;

    /// A timer's transaction was committed: here the relay is nudged. Must not block.
    fn committed(&self) {}
}

/// Sets the timer of this kind for `key`, or moves it. In the transaction that holds the key's root row.
///
/// # Errors
/// The database's.
pub async fn set(conn: &mut AsyncPgConnection, kind: &str, key: &str, due_at: DateTime<Utc>) -> QueryResult<()> {
    Set { kind, key, key_hash: key_hash(key), due_at }.execute(conn).await.map(drop)
}

/// Written by hand with a static id, so that it stays prepared: an upsert of diesel's is parsed each time.
struct Set<'a> {
    kind: &'a str,
    key: &'a str,
    key_hash: i32,
    due_at: DateTime<Utc>,
}

impl QueryFragment<Pg> for Set<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("insert into timers (kind, key, key_hash, due_at) values (");
        out.push_bind_param::<Text, _>(self.kind)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(self.key)?;
        out.push_sql(", ");
        out.push_bind_param::<Integer, _>(&self.key_hash)?;
        out.push_sql(", ");
        out.push_bind_param::<Timestamptz, _>(&self.due_at)?;
        out.push_sql(
            ") on conflict (kind, key) \
             do update set due_at = excluded.due_at, attempts = 0, not_before = 'epoch'",
        );
        Ok(())
    }
}

impl QueryId for Set<'_> {
    type QueryId = Set<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

/// Cancels the timer of this kind for `key`; there may be none.
///
/// # Errors
/// The database's.
pub async fn cancel(conn: &mut AsyncPgConnection, kind: &str, key: &str) -> QueryResult<()> {
    diesel::delete(timers::table.find((kind, key))).execute(conn).await.map(drop)
}

/// Fires timers as they fall due, until told to stop.
pub async fn run<T: Timers>(pool: Pool, consumer: ConsumerHandle, timers: T, stop: CancellationToken) {
    loop {
        let more = match fire_due(&pool, &consumer, &timers).await {
            Ok(fired) => i64::try_from(fired).is_ok_and(|fired| fired >= AT_ONCE),
            Err(error) => {
                tracing::warn!(error = %format!("{error:#}"), "due timers can't be looked for now");
                false
            }
        };
        tokio::select! {
            () = tokio::time::sleep(if more { Duration::ZERO } else { EVERY }) => {}
            () = stop.cancelled() => return,
        }
        if stop.is_cancelled() {
            return;
        }
    }
}

/// Fires what is due and may fire now, up to a hundred; returns how many did. None may before the partitions of all
/// topics are known.
///
/// # Errors
/// The database can't be asked. A timer that fails is put off, which is no error.
pub async fn fire_due<T: Timers>(pool: &Pool, consumer: &ConsumerHandle, timers: &T) -> anyhow::Result<usize> {
    let Some(gates) = consumer.gates() else { return Ok(0) };
    let mut conn = pool.get().await.context("a connection for timers")?;
    let mut fired = 0;
    for due in due(&mut conn, consumer.group(), &gates).await? {
        match fire(&mut conn, timers, &due).await {
            Ok(true) => {
                fired += 1;
                timers.committed();
                metrics::counter!("timers_fired_total", "kind" => due.kind).increment(1);
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(kind = due.kind, key = due.key, attempts = due.attempts + 1, error = %error, "a timer failed and is put off");
                metrics::counter!("timers_failed_total", "kind" => due.kind.clone()).increment(1);
                put_off(&mut conn, &due).await?;
            }
        }
    }
    Ok(fired)
}

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Timestamptz)]
    due_at: DateTime<Utc>,
    #[diesel(sql_type = Integer)]
    attempts: i32,
}

/// What is due, not put off, not of a parked key, and for which all was heard that there was at its time.
async fn due(conn: &mut AsyncPgConnection, consumer: &str, gates: &[(&str, i32)]) -> QueryResult<Vec<Due>> {
    let (topics, partitions): (Vec<_>, Vec<_>) = gates.iter().copied().unzip();
    diesel::sql_query(
        "select kind, key, due_at, attempts from timers \
         where due_at <= clock_timestamp() and not_before <= clock_timestamp() \
         and not exists (select from parked_keys where parked_keys.consumer = $1 and parked_keys.key = timers.key) \
         and not exists (select from unnest($2, $3) as heard (topic, partitions) \
             left join consumer_progress known on known.consumer = $1 and known.topic = heard.topic \
                 and known.partition = timers.key_hash % heard.partitions \
             where known.caught_up_to is null or known.caught_up_to < timers.due_at) \
         order by due_at limit $4",
    )
    .bind::<Text, _>(consumer)
    .bind::<Array<Text>, _>(topics)
    .bind::<Array<Integer>, _>(partitions)
    .bind::<BigInt, _>(AT_ONCE)
    .load(conn)
    .await
}

/// False when it was cancelled, moved or fired by another meanwhile.
async fn fire<T: Timers>(conn: &mut AsyncPgConnection, timers: &T, due: &Due) -> Result<bool, ReactionError> {
    let span = tracing::info_span!("timer", kind = due.kind, key = due.key);
    let work = conn.transaction(async |conn| {
        timers.lock(conn, &due.key).await?;
        let still = timers::table.find((&due.kind, &due.key)).filter(timers::due_at.eq(due.due_at));
        if diesel::delete(still).execute(conn).await? == 0 {
            return Ok(false);
        }
        // a panic is a failure like others, or it would end the worker
        let fired = AssertUnwindSafe(timers.fire(conn, &due.kind, &due.key));
        fired.catch_unwind().await.unwrap_or_else(panicked)?;
        Ok(true)
    });
    crate::trace::within(None, tracing::Instrument::instrument(work, span)).await
}

async fn put_off(conn: &mut AsyncPgConnection, due: &Due) -> QueryResult<()> {
    let wait = wait_after(due.attempts.unsigned_abs(), FIRST, CAP);
    diesel::sql_query(
        "update timers set attempts = attempts + 1, not_before = clock_timestamp() + make_interval(secs => $1) \
         where kind = $2 and key = $3 and due_at = $4",
    )
    .bind::<diesel::sql_types::Double, _>(wait.as_secs_f64())
    .bind::<Text, _>(&due.kind)
    .bind::<Text, _>(&due.key)
    .bind::<Timestamptz, _>(due.due_at)
    .execute(conn)
    .await
    .map(drop)
}
