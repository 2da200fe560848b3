//! Finds out who holds a lock that somebody waits for. PostgreSQL shows a role only the sessions of its own role,
//! unless it is a member of `pg_read_all_stats`. Of other sessions it shows only the process id, the role and the
//! application's name.

use diesel::QueryResult;
use diesel::sql_types::{Double, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// A query for every session of this database that has waited for a lock for three seconds. It returns `since` (when
/// the wait began), `pid` (of the holder's backend), `held_since` (when the holder's transaction began; null if that isn't shown to
/// this role) and `why` (a description of the holder).
pub const WAITING: &str = "select waiting.query_start as since, held.pid, held.xact_start as held_since,
    'waits for a lock of backend ' || held.pid || ' (' || $who || '), which is ' ||
    coalesce(held.state, 'not shown to this role') ||
    coalesce(' in a transaction of ' || extract(epoch from clock_timestamp() - held.xact_start)::bigint || ' s', '') ||
    ': ' || $statement as why
    from pg_stat_activity waiting
    cross join lateral unnest(pg_blocking_pids(waiting.pid)) as blocking (pid)
    join pg_stat_activity held on held.pid = blocking.pid
    where waiting.datname = current_database() and waiting.wait_event_type = 'Lock'
        and waiting.query_start < clock_timestamp() - interval '3 seconds'";

/// The holder's role and the name of its program.
pub(crate) const WHO: &str =
    "coalesce(held.usename, '?') || coalesce(nullif(', ' || coalesce(held.application_name, ''), ', '), '')";

/// The holder's statement without its values. Quoted texts, dollar-quoted texts and numbers are cut out because they
/// may hold personal data.
pub(crate) const STATEMENT: &str = r"left(regexp_replace(regexp_replace(regexp_replace(held.query,
    '\$([a-z_]*)\$.*?(\$\1\$|\Z)', '?', 'g'), '''([^'']|'''')*(''|\Z)', '?', 'g'), '\m[0-9]+\M', '?', 'g'), 200)";

/// The text of [`WAITING`], complete for PostgreSQL.
pub fn waiting() -> String {
    WAITING.replace("$who", WHO).replace("$statement", STATEMENT)
}

/// Has this transaction wait for a lock no longer than a moment: for work that others wait for.
///
/// # Errors
/// Fails if the statement fails.
pub async fn wait_briefly(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    diesel::sql_query("set local lock_timeout = '200ms'").execute(conn).await.map(drop)
}

/// A session that holds a lock for which another waits.
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
    /// Its state, such as `idle in transaction`.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// How long its transaction has been open.
    #[diesel(sql_type = Nullable<Double>)]
    pub age_seconds: Option<f64>,
    /// Its latest statement, without values.
    #[diesel(sql_type = Text)]
    pub statement: String,
}

/// Finds who holds the locks that this backend waits for; empty if it doesn't wait.
///
/// # Errors
/// Fails if the query fails.
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
