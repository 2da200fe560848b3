//! Rows have a time to live: what nobody will ask for again is deleted, in batches that are bounded in rows and in time.
//!
//! A service names its tables and how long their rows are kept; the kit does the rest. Rows that something live still needs
//! are never candidates, or are spared by a condition of the table.

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

/// How often old rows are looked for.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// How many rows a statement looks at, so that none runs long and none holds many locks.
pub const BATCH: i64 = 1_000;

/// How long the rows of a table live.
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
    /// Rows of `table` live for `keep` from the time in the column `since`, which must have an index. `key` is the primary
    /// key's column.
    pub const fn new(table: &'static str, key: &'static str, since: &'static str, keep: Duration) -> Self {
        Self { table, key, since, keep, only: "true", delete: None, also: None }
    }

    /// Only rows for which this condition holds ever grow old. The index on `since` must be a partial one with the same
    /// condition, so that rows which live on are not walked over again and again.
    #[must_use]
    pub const fn only(self, condition: &'static str) -> Self {
        Self { only: condition, ..self }
    }

    /// Deletes with this statement instead: it finds the keys of a batch in `old (key)` and the time to live in seconds in
    /// `$1`, spares what is still needed, and returns `key` for each row that it deletes.
    #[must_use]
    pub const fn deleting(self, statement: &'static str) -> Self {
        Self { delete: Some(statement), ..self }
    }

    /// Runs this statement with the one that deletes, which has left `deleted (key)`.
    #[must_use]
    pub const fn also(self, statement: &'static str) -> Self {
        Self { also: Some(statement), ..self }
    }

    /// The table's name.
    pub const fn table(&self) -> &'static str {
        self.table
    }

    /// How long its rows live.
    pub const fn keep(&self) -> Duration {
        self.keep
    }

    /// Looks at one batch, from the time on at which the last one ended: $1 seconds to keep, $2 rows, $3 that time.
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

/// What came of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, QueryableByName)]
struct Batch {
    #[diesel(sql_type = BigInt)]
    seen: i64,
    #[diesel(sql_type = BigInt)]
    deleted: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    reached: Option<DateTime<Utc>>,
}

/// What came of looking through one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many rows were deleted.
    pub rows: i64,
    /// In how many statements.
    pub batches: u64,
}

/// Deletes the old rows of one table, batch by batch, each in a transaction of its own. Rests after each for as long as it
/// took, so that at most half of one connection's time goes into it.
///
/// # Errors
/// The pool's and the database's. What was deleted before stays deleted.
pub async fn prune(pool: &Pool, rule: &TimeToLive, stop: &CancellationToken) -> anyhow::Result<Pruned> {
    let (mut from, mut pruned) = (DateTime::UNIX_EPOCH, Pruned::default());
    while !stop.is_cancelled() {
        let began = Instant::now();
        let batch = one_batch(&mut *pool.get().await?, rule, from).await?;
        pruned.rows += batch.deleted;
        pruned.batches += 1;
        let Some(reached) = batch.reached.filter(|_| batch.seen == BATCH) else { break };
        // A whole batch of one moment that was spared: what else is of that moment is looked at another time.
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
        // Where statistics say that little is old, the planner would rather read and sort all that is.
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

/// Deletes what is too old now and every hour until told to stop. A table that can't be looked through now is tried again an
/// hour later and stops no other.
pub async fn run(pool: Pool, rules: Vec<TimeToLive>, stop: CancellationToken) {
    run_with(pool, &[], rules, stop).await;
}

/// Like [`run`], and each time runs these statements first, such as one that makes the partitions of a time to come.
pub async fn run_with(pool: Pool, upkeep: &'static [&'static str], rules: Vec<TimeToLive>, stop: CancellationToken) {
    // not what readiness and the consumer's watch have for themselves
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
        // with jitter, so that instances that were started together don't all look at once
        let wait = retry::wait_after(0, EVERY, EVERY);
        tokio::select! { () = tokio::time::sleep(wait) => {}, () = stop.cancelled() => {} }
    }
}
