//! Deletes rows whose time to live is over, in batches that are bounded in rows and in time.
//!
//! A service names its tables and how long their rows are kept; the kit does the rest. Rows that are still needed are
//! excluded by the condition of [`TimeToLive::only`], or spared by the statement of [`TimeToLive::deleting`].

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Double, Nullable, Timestamptz};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use tokio_util::sync::CancellationToken;

use crate::Pool;
use crate::pool::Share;
use crate::retry;

const EVERY: Duration = Duration::from_secs(60 * 60);
/// How many rows one statement looks at, so that none runs long or holds many locks.
pub const BATCH: i64 = 1_000;

/// How long the rows of a table are kept.
#[derive(Clone, Debug)]
pub struct TimeToLive {
    table: &'static str,
    key: &'static str,
    since: &'static str,
    keep: Duration,
    only: &'static str,
    delete: Option<&'static str>,
    also: Option<&'static str>,
}

impl TimeToLive {
    /// Rows of `table` are kept for `keep` after the time in the column `since`, which needs an index. `key` is the
    /// column of the primary key.
    pub const fn new(table: &'static str, key: &'static str, since: &'static str, keep: Duration) -> Self {
        Self { table, key, since, keep, only: "true", delete: None, also: None }
    }

    /// Only rows that meet this condition expire. The index on `since` must be partial, with the same condition, so
    /// that rows which don't expire aren't scanned again and again.
    #[must_use]
    pub const fn only(self, condition: &'static str) -> Self {
        Self { only: condition, ..self }
    }

    /// Deletes with this statement instead of the usual one. It finds the keys of a batch in `old (key)` and the time
    /// to live in seconds in `$1`. It must spare rows that are still needed and return `key` for each row that it
    /// deletes.
    #[must_use]
    pub const fn deleting(self, statement: &'static str) -> Self {
        Self { delete: Some(statement), ..self }
    }

    /// Runs this statement in the same query, after the deletion, whose keys it finds in `deleted (key)`.
    #[must_use]
    pub const fn also(self, statement: &'static str) -> Self {
        Self { also: Some(statement), ..self }
    }

    /// The table's name.
    pub const fn table(&self) -> &'static str {
        self.table
    }

    /// How long its rows are kept.
    pub const fn keep(&self) -> Duration {
        self.keep
    }

    /// Handles one batch, beginning at the time at which the last one ended: $1 is the time to live in seconds, $2
    /// the number of rows, $3 that time.
    fn statement(&self) -> String {
        let Self { table, key, since, only, .. } = self;
        let usual =
            format!("delete from {table} where {key} = any (array(select key from old)) returning {key} as key");
        let (delete, also) = (self.delete.unwrap_or(&usual), self.also.unwrap_or("select 1"));
        format!(
            "with old as materialized (
                select {key} as key, {since} as since from {table}
                 where {only} and {since} >= $3 and {since} < now() - make_interval(secs => $1)
                 order by {since} limit $2),
             deleted as ({delete}),
             also as ({also})
             select (select count(*) from old) as seen, (select count(*) from deleted) as deleted,
                    (select max(since) from old) as reached"
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, QueryableByName)]
struct Batch {
    #[diesel(sql_type = BigInt)]
    seen: i64,
    #[diesel(sql_type = BigInt)]
    deleted: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    reached: Option<DateTime<Utc>>,
}

/// The result of pruning one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many rows were deleted.
    pub rows: i64,
    /// How many statements that took.
    pub batches: u64,
}

/// Deletes the expired rows of one table, batch by batch, each in a transaction of its own. It rests after each batch
/// for as long as the batch took, so that it uses at most half of one connection's time.
///
/// # Errors
/// Fails if no connection is free or a statement fails. Earlier batches stay deleted.
pub async fn prune(pool: &Pool, rule: &TimeToLive, stop: &CancellationToken) -> anyhow::Result<Pruned> {
    let (mut from, mut pruned) = (DateTime::UNIX_EPOCH, Pruned::default());
    while !stop.is_cancelled() {
        let began = Instant::now();
        let batch = one_batch(&mut *pool.get().await?, rule, from).await?;
        pruned.rows += batch.deleted;
        pruned.batches += 1;
        let Some(reached) = batch.reached.filter(|_| batch.seen == BATCH) else { break };
        // The whole batch has the same time and was spared, so it would be found again for ever. Skip the rest of
        // that time; the next run looks at it.
        let stands_still = reached == from && batch.deleted == 0;
        from = if stands_still { reached + chrono::TimeDelta::microseconds(1) } else { reached };
        tokio::select! { () = tokio::time::sleep(began.elapsed()) => {}, () = stop.cancelled() => {} }
    }
    Ok(pruned)
}

async fn execute(pool: &Pool, statement: &str) -> anyhow::Result<()> {
    Ok(pool.get().await?.batch_execute(statement).await?)
}

async fn one_batch(conn: &mut AsyncPgConnection, rule: &TimeToLive, from: DateTime<Utc>) -> QueryResult<Batch> {
    conn.transaction(async |conn| {
        // If statistics say that few rows are old, the planner would rather scan and sort all of them than use the
        // index.
        conn.batch_execute("set local enable_seqscan = off; set local enable_bitmapscan = off").await?;
        sql_query(rule.statement())
            .bind::<Double, _>(rule.keep.as_secs_f64())
            .bind::<BigInt, _>(BATCH)
            .bind::<Timestamptz, _>(from)
            .get_result(conn)
            .await
    })
    .await
}

/// Deletes expired rows now and every hour, until told to stop. A table that fails is retried an hour later and
/// doesn't stop the others.
pub async fn run(pool: Pool, rules: Vec<TimeToLive>, stop: CancellationToken) {
    run_with(pool, &[], rules, stop).await;
}

/// Like [`run`], but runs these statements first each time, for example one that creates the next partitions.
pub async fn run_with(pool: Pool, upkeep: &'static [&'static str], rules: Vec<TimeToLive>, stop: CancellationToken) {
    // Housekeeping uses the workers' connections, and leaves those for upkeep to readiness and the consumer's watch.
    let pool = pool.of(Share::Workers);
    while !stop.is_cancelled() {
        for statement in upkeep {
            if let Err(error) = execute(&pool, statement).await {
                let error = format!("{error:#}");
                tracing::warn!(statement, error, "the upkeep of a table is not done now: it is tried again in an hour");
            }
        }
        for rule in &rules {
            match prune(&pool, rule, &stop).await {
                Ok(Pruned { rows: 0, .. }) => {}
                Ok(Pruned { rows, batches }) => {
                    tracing::info!(table = rule.table, rows, batches, "old rows were deleted");
                    let counter = metrics::counter!("housekeeping_deleted_rows_total", "table" => rule.table);
                    counter.increment(rows.cast_unsigned());
                }
                Err(error) => tracing::warn!(
                    table = rule.table,
                    error = %format!("{error:#}"),
                    "old rows can't be deleted now: it is tried again in an hour"
                ),
            }
        }
        // The jitter spreads instances that were started together.
        let wait = retry::wait_after(0, EVERY, EVERY);
        tokio::select! { () = tokio::time::sleep(wait) => {}, () = stop.cancelled() => {} }
    }
}
