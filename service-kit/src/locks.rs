//! Who holds the lock that somebody waits for. PostgreSQL shows a role the sessions of its own role, and of all roles to a
//! member of `pg_read_all_stats`; of what it hides only the process id, the role and the name are known.

use diesel::QueryResult;
use diesel::sql_types::{Double, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// Every session of this database that has waited for a lock for three seconds, with who holds it: rows of `since` (when
/// it began to wait) and `why` (the holder in words).
pub const WAITING: &str = "select waiting.query_start as since,
    'waits for a lock of backend ' || held.pid || ' (' || coalesce(held.usename, '?') || coalesce(nullif(', ' ||
    coalesce(held.application_name, ''), ', '), '') || '), which is ' || coalesce(held.state, 'not shown to this role') ||
    coalesce(' in a transaction of ' || extract(epoch from clock_timestamp() - held.xact_start)::bigint || ' s', '') ||
    ': ' || $statement as why
    from pg_stat_activity waiting
    cross join lateral unnest(pg_blocking_pids(waiting.pid)) as blocking (pid)
    join pg_stat_activity held on held.pid = blocking.pid
    where waiting.datname = current_database() and waiting.wait_event_type = 'Lock'
        and waiting.query_start < clock_timestamp() - interval '3 seconds'";

/// A statement's text without its values: quoted text, dollar-quoted text and numbers may be anything.
const STATEMENT: &str = r"left(regexp_replace(regexp_replace(regexp_replace(held.query,
    '\$([a-z_]*)\$.*?(\$\1\$|\Z)', '?', 'g'), '''([^'']|'''')*(''|\Z)', '?', 'g'), '\m[0-9]+\M', '?', 'g'), 200)";

/// [`WAITING`] as PostgreSQL takes it.
pub fn waiting() -> String {
    WAITING.replace("$statement", STATEMENT)
}

/// A session that holds what another waits for.
#[derive(Debug, diesel::QueryableByName)]
pub struct Holder {
    /// The process id of its backend.
    #[diesel(sql_type = Integer)]
    pub pid: i32,
    /// Its role.
    #[diesel(sql_type = Text)]
    pub role: String,
    /// Its `application_name`.
    #[diesel(sql_type = Text)]
    pub application: String,
    /// What it is doing, such as `idle in transaction`.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// For how long its transaction has been open.
    #[diesel(sql_type = Nullable<Double>)]
    pub age_seconds: Option<f64>,
    /// What it did last, without values.
    #[diesel(sql_type = Text)]
    pub statement: String,
}

/// Who holds what this backend waits for; nobody when it doesn't wait.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn holders(conn: &mut AsyncPgConnection, backend: i32) -> QueryResult<Vec<Holder>> {
    diesel::sql_query(format!(
        "select held.pid, coalesce(held.usename::text, '?') as role, coalesce(held.application_name, '') as application, \
         coalesce(held.state, 'not shown to this role') as state, \
         extract(epoch from clock_timestamp() - held.xact_start)::float8 as age_seconds, {STATEMENT} as statement \
         from unnest(pg_blocking_pids($1)) as blocking (pid) join pg_stat_activity held on held.pid = blocking.pid"
    ))
    .bind::<Integer, _>(backend)
    .load(conn)
    .await
}
