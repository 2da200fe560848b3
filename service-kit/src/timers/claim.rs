//! Finds due timers and claims them, in one statement whose cost depends on the window and not on the number of
//! pending timers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// How many due timers one statement looks at, and claims at most.
pub(super) const WINDOW: i64 = 500;
/// How long a claim lasts. What its instance hasn't fired by then, for example because it crashed, can be claimed by
/// anybody.
const LEASE: Duration = Duration::from_secs(30);

/// A place in the order in which timers are visited.
#[derive(Clone, Debug)]
pub(super) struct Place {
    due_at: DateTime<Utc>,
    kind: String,
    key: String,
}

impl Default for Place {
    /// The place before the first timer.
    fn default() -> Self {
        Self { due_at: DateTime::UNIX_EPOCH, kind: String::new(), key: String::new() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    pub due_at: DateTime<Utc>,
    pub kind: String,
    pub key: String,
    pub attempts: i32,
}

/// The result of one statement.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The claimed timers, in the order of their due times.
    pub claimed: Vec<Due>,
    /// How many due timers were looked at.
    pub walked: usize,
    /// Where to continue, if there may be more.
    pub more_after: Option<Place>,
    /// How long until the next timer after those is due; zero if it is due already but its topics have not been read
    /// so far.
    pub next: Option<Duration>,
    /// For how long the oldest due timer has been due, whether it may fire or not.
    pub late: Duration,
}

/// Walks the index of due times up to now, or up to the time to which every topic can have been read, if that is
/// earlier: in an outage the timers that wait for it aren't visited at all. Within the window it claims the timers
/// that are not put off, not claimed by another instance, not of a parked key, and whose partitions were read up to
/// their due times. A claim commits at once and skips locked rows, because it does not hold the lock on the key's
/// root row, which firing takes first.
pub(super) const CLAIM: &str = "\
with reach as materialized (
    select least(now(), (select min(furthest) from (
        select coalesce(max(known.caught_up_to), '-infinity') as furthest
        from unnest($2, $3) as heard (topic, partitions)
        left join consumer_progress known on known.consumer = $1 and known.topic = heard.topic
        group by heard.topic) as topics)) as until),
walked as materialized (
    select kind, key, key_hash, due_at, not_before from timers
    where due_at <= (select until from reach) and (due_at, kind, key) > ($4, $5, $6)
    order by due_at, kind, key limit $7),
free as materialized (
    select kind, key, due_at from walked
    where not_before <= now()
    and not exists (select from parked_keys where parked_keys.consumer = $1 and parked_keys.key = walked.key)
    and not exists (
        select from unnest($2, $3) as heard (topic, partitions)
        left join consumer_progress known on known.consumer = $1 and known.topic = heard.topic
            and known.partition = walked.key_hash % heard.partitions
        where known.caught_up_to is null or known.caught_up_to < walked.due_at)),
mine as materialized (
    select timers.kind, timers.key from free join timers using (kind, key)
    where timers.due_at = free.due_at and timers.not_before <= now()
    for update of timers skip locked),
claimed as (
    update timers set not_before = now() + make_interval(secs => $8)
    from mine where timers.kind = mine.kind and timers.key = mine.key
    returning timers.kind, timers.key, timers.due_at, timers.attempts),
ends as (
    select (select count(*) from walked) as walked, last.kind as last_kind, last.key as last_key, last.due_at as last_due_at,
        (select extract(epoch from due_at - now())::float8 from timers
            where due_at > (select until from reach) order by due_at limit 1) as next,
        (select extract(epoch from now() - due_at)::float8 from timers
            where due_at <= now() order by due_at limit 1) as late
    from (select) as one
    left join (select * from walked order by due_at desc, kind desc, key desc limit 1) as last on true)
select ends.*, claimed.* from ends left join claimed on true";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    walked: i64,
    #[diesel(sql_type = Nullable<Text>)]
    last_kind: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    last_key: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_due_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Double>)]
    next: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    late: Option<f64>,
    #[diesel(sql_type = Nullable<Text>)]
    kind: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    key: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    due_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Integer>)]
    attempts: Option<i32>,
}

/// Claims the timers of one window after `from` that are due and may fire.
pub(super) async fn claim(
    conn: &mut AsyncPgConnection,
    consumer: &str,
    gates: &[(&str, i32)],
    from: &Place,
) -> QueryResult<Window> {
    let rows: Vec<Row> = statement(CLAIM, consumer, gates, from).load(conn).await?;
    let mut window = Window::default();
    for row in rows {
        window.walked = usize::try_from(row.walked).unwrap_or_default();
        window.next = row.next.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0)));
        window.late = seconds(row.late);
        if row.walked >= WINDOW
            && let (Some(due_at), Some(kind), Some(key)) = (row.last_due_at, row.last_kind, row.last_key)
        {
            window.more_after = Some(Place { due_at, kind, key });
        }
        if let (Some(due_at), Some(kind), Some(key), Some(attempts)) = (row.due_at, row.kind, row.key, row.attempts) {
            window.claimed.push(Due { due_at, kind, key, attempts });
        }
    }
    window.claimed.sort_unstable();
    Ok(window)
}

/// For how long the oldest due timer has been due.
pub(super) async fn late(conn: &mut AsyncPgConnection) -> QueryResult<Duration> {
    #[derive(QueryableByName)]
    struct Late {
        #[diesel(sql_type = Double)]
        late: f64,
    }
    let asked = "select extract(epoch from now() - due_at)::float8 as late from timers where due_at <= now() order by due_at limit 1";
    let found: Option<Late> = diesel::sql_query(asked).get_result(conn).await.optional()?;
    Ok(seconds(found.map(|found| found.late)))
}

fn seconds(known: Option<f64>) -> Duration {
    known.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or_default()
}

/// Binds the parameters of [`CLAIM`] to `sql`.
pub(super) fn statement<'q>(
    sql: &'q str,
    consumer: &'q str,
    gates: &[(&'q str, i32)],
    from: &'q Place,
) -> BoxedSqlQuery<'q, Pg, SqlQuery> {
    let (topics, partitions): (Vec<_>, Vec<_>) = gates.iter().copied().unzip();
    diesel::sql_query(sql)
        .into_boxed::<Pg>()
        .bind::<Text, _>(consumer)
        .bind::<Array<Text>, _>(topics)
        .bind::<Array<Integer>, _>(partitions)
        .bind::<Timestamptz, _>(from.due_at)
        .bind::<Text, _>(&from.kind)
        .bind::<Text, _>(&from.key)
        .bind::<BigInt, _>(WINDOW)
        .bind::<Double, _>(LEASE.as_secs_f64())
}
