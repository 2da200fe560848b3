//! Finds transactions that have been open for long. One that holds a snapshot keeps PostgreSQL from cleaning up rows that
//! were deleted or changed since it began, so that every table it could read grows; one that holds locks makes others wait.
//!
//! PostgreSQL shows a role when a transaction of another role began only if it is a member of `pg_read_all_stats`. Without
//! that, another role's session is seen only by its snapshot, whose age is then told in transactions.

use std::time::Duration;

use diesel::QueryResult;
use diesel::sql_types::Double;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::Pool;
use crate::locks::{STATEMENT, WHO};
use crate::retry::Recurring;

const EVERY: Duration = Duration::from_secs(5);

/// A query for every transaction of this database that was left open for five seconds, or has worked for a minute. It
/// returns `pid` (null for a prepared transaction), `since` (null if it isn't shown to this role), `has_locks` (whether it has locked
/// or changed rows) and `why` (a description).
const HELD: &str = "select held.pid, held.xact_start as since, held.backend_xid is not null as has_locks,
    'backend ' || held.pid || ' (' || $who || ') is ' || coalesce(held.state, 'not shown to this role') ||
    coalesce(' in a transaction of ' || extract(epoch from clock_timestamp() - held.xact_start)::bigint || ' s', '') ||
    case when held.backend_xmin is null then ''
        else ' and keeps rows that died in the last ' || age(held.backend_xmin) || ' transactions from being cleaned up' end ||
    coalesce(': ' || nullif($statement, ''), '') as why
    from pg_stat_activity held
    where held.datname = current_database() and held.pid <> pg_backend_pid()
        and coalesce(held.backend_type, 'client backend') = 'client backend'
        and (held.state like 'idle in transaction%' and held.state_change < clock_timestamp() - interval '5 seconds'
            or held.xact_start < clock_timestamp() - interval '1 minute'
            or held.xact_start is null and age(held.backend_xmin) > 10000)
    union all
    select null, prepared, true, 'the prepared transaction ' || quote_literal(gid) || ' of ' || owner || ' was neither committed nor ' ||
        'rolled back for ' || extract(epoch from clock_timestamp() - prepared)::bigint || ' s, and holds its locks'
    from pg_prepared_xacts where database = current_database() and prepared < clock_timestamp() - interval '5 seconds'";

const OLDEST: &str = "select coalesce(extract(epoch from clock_timestamp() - min(began)), 0)::float8 as seconds from (
    select xact_start as began from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()
            and coalesce(backend_type, 'client backend') = 'client backend'
    union all select prepared from pg_prepared_xacts where database = current_database()) as transactions";

/// The text of a query for transactions that have been open for long, with `pid`, `since`, `has_locks` and
/// `why` of each.
pub fn held() -> String {
    HELD.replace("$who", WHO).replace("$statement", STATEMENT)
}

#[derive(diesel::QueryableByName)]
struct Oldest {
    #[diesel(sql_type = Double)]
    seconds: f64,
}

/// How long the oldest transaction of this database has been open, as far as this role is shown; 0 if there is none.
///
/// # Errors
/// Fails if the query fails.
pub async fn oldest_seconds(conn: &mut AsyncPgConnection) -> QueryResult<f64> {
    let oldest: Oldest = diesel::sql_query(OLDEST).get_result(conn).await?;
    Ok(oldest.seconds.max(0.0))
}

/// Measures the oldest transaction every few seconds, until told to stop.
pub async fn watch(pool: Pool, stop: CancellationToken) {
    let mut failures = Recurring::default();
    loop {
        let looked = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            looked = async { anyhow::Ok(oldest_seconds(&mut *pool.get().await?).await?) } => looked,
        };
        if failures.is_news(&looked)
            && let Err(error) = &looked
        {
            tracing::warn!(error = %format!("{error:#}"), "open transactions can't be measured now");
        }
        if let Ok(seconds) = looked {
            metrics::gauge!("database_oldest_transaction_seconds").set(seconds);
        }
        tokio::select! { () = sleep(EVERY) => {}, () = stop.cancelled() => return }
    }
}
