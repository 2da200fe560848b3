//! Timers: something that happens at a set time unless it is cancelled before.
//!
//! The clock is the database's. A timer fires only once the service has read its inbox topics up to the due time, in
//! the partitions of the timer's key. So an outage of the service or of the brokers doesn't make timers fire before
//! the events that would have cancelled them. The timers of a parked key wait until it is unparked.

mod claim;
mod fire;
#[cfg(all(test, feature = "testing"))]
mod tests;

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{Array, Integer, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio_util::sync::CancellationToken;

use self::claim::{Place, claim};
use crate::Pool;
use crate::consumer::{ConsumerHandle, ReactionError, key_hash};
use crate::pool::Share;
use crate::retry::{Backoff, Recurring};

/// The longest wait between two sweeps. It bounds the delay of a timer that another instance has set since the last
/// sweep.
const IDLE: Duration = Duration::from_secs(2);
/// The first and the longest wait before timers that are due but can't fire are looked at again.
const HELD_UP: Duration = Duration::from_millis(400);
const LONG_HELD_UP: Duration = Duration::from_secs(2);
/// While nothing fires, walking over timers that can't fire takes at most a twentieth of the time; but the wait is
/// never longer than this.
const LONGEST: Duration = Duration::from_secs(10);
const SHARE: u32 = 20;

/// A service's reaction to due timers.
pub trait Timers: Send + Sync + 'static {
    /// The aggregates of due timers and their rows in memory, together with what has been decided about them so far.
    type Loaded: Send;

    /// Locks the root rows of these keys and reads what belongs to them, in the same order as every command and
    /// reaction: all roots sorted, then all else sorted.
    fn load(
        &self,
        conn: &mut AsyncPgConnection,
        keys: &[&str],
    ) -> impl Future<Output = Result<Self::Loaded, ReactionError>> + Send;

    /// Decides what a due timer does, which may set it again. If one timer fails, its transaction is rolled back, and
    /// each timer in it is tried alone.
    ///
    /// # Errors
    /// Fails if the timer can't be handled now; it is put off and retried.
    fn fire(&self, loaded: &mut Self::Loaded, kind: &str, key: &str) -> Result<(), ReactionError>;

    /// Writes what was decided, in the transaction that deletes the timers.
    fn save(
        &self,
        conn: &mut AsyncPgConnection,
        loaded: Self::Loaded,
    ) -> impl Future<Output = Result<(), ReactionError>> + Send;

    /// Called after the commit of a transaction that fired timers, to nudge the relay. Must not block.
    fn committed(&self) {}
}

/// Sets or moves the timer of this kind for `key`, in the transaction that holds the lock on the key's root row.
///
/// # Errors
/// Fails if the statement fails.
pub async fn set(conn: &mut AsyncPgConnection, kind: &str, key: &str, due_at: DateTime<Utc>) -> QueryResult<()> {
    setting(kind, &[(key, due_at)]).execute(conn).await.map(drop)
}

/// Sets or moves the timers of this kind for many keys, in the transaction that holds the locks on their root rows.
///
/// # Errors
/// Fails if the statement fails.
pub async fn set_all(mut conn: &AsyncPgConnection, kind: &str, timers: &[(&str, DateTime<Utc>)]) -> QueryResult<()> {
    setting(kind, timers).execute(&mut conn).await.map(drop)
}

/// What [`set_all`] executes, as a part of a larger statement.
pub fn setting<'a>(kind: &'a str, timers: &[(&'a str, DateTime<Utc>)]) -> Set<'a> {
    let (keys, due_at): (Vec<_>, _) = timers.iter().copied().unzip();
    let key_hashes = keys.iter().map(|key| key_hash(key)).collect();
    Set { kind, keys, key_hashes, due_at }
}

crate::prepared! {
    /// Sets timers: see [`setting`].
    #[expect(missing_docs, reason = "its columns")]
    pub struct Set<'a> {
        kind: &'a str as Text,
        keys: Vec<&'a str> as Array<Text>,
        key_hashes: Vec<i32> as Array<Integer>,
        due_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
    };
    "insert into timers (kind, key, key_hash, due_at) select ?, * from unnest(?, ?, ?) \
     on conflict (kind, key) do update set due_at = excluded.due_at, attempts = 0, not_before = 'epoch'"
}

/// Cancels the timer of this kind for `key`, if there is one.
///
/// # Errors
/// Fails if the statement fails.
pub async fn cancel(conn: &mut AsyncPgConnection, kind: &str, key: &str) -> QueryResult<()> {
    cancel_all(conn, kind, &[key]).await
}

/// Cancels the timers of this kind for these keys, if there are any.
///
/// # Errors
/// Fails if the statement fails.
pub async fn cancel_all(mut conn: &AsyncPgConnection, kind: &str, keys: &[&str]) -> QueryResult<()> {
    Cancel { kind, keys }.execute(&mut conn).await.map(drop)
}

crate::prepared! {
    struct Cancel<'a> { kind: &'a str as Text, keys: &'a [&'a str] as Array<Text> };
    "delete from timers where kind = ? and key = any(?)"
}

/// Fires timers when they are due, until told to stop.
pub async fn run<T: Timers>(pool: Pool, consumer: ConsumerHandle, timers: T, stop: CancellationToken) {
    let pool = pool.of(Share::Timers);
    let (mut failures, mut held_up) = (Recurring::default(), Backoff::new(HELD_UP, LONG_HELD_UP));
    while !stop.is_cancelled() {
        let began = Instant::now();
        let swept = sweep(&pool, &consumer, &timers, &stop).await;
        if failures.is_news(&swept)
            && let Err(error) = &swept
        {
            tracing::warn!(error = %format!("{error:#}"), "due timers can't be looked for now");
        }
        let wait = match swept {
            Ok(swept) if swept.held_up => {
                consumer.want_progress();
                if swept.fired > 0 {
                    held_up.reset();
                }
                held_up.next_wait().max((began.elapsed() * SHARE).min(LONGEST))
            }
            Ok(swept) => {
                held_up.reset();
                swept.next.map_or(IDLE, |next| next.min(IDLE))
            }
            Err(_) => held_up.next_wait(),
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Fires timers in one transaction, whether they are set or not, so that a service's tests need not wait until they
/// are due.
///
/// # Errors
/// Fails if a timer can't be handled, which would put it off in production.
#[cfg(feature = "testing")]
pub async fn fire_by_hand<T: Timers>(
    conn: &mut AsyncPgConnection,
    timers: &T,
    kind: &str,
    keys: &[&str],
) -> Result<(), ReactionError> {
    let fired = diesel_async::AsyncConnection::transaction(conn, async |conn| {
        let mut loaded = timers.load(conn, keys).await?;
        for key in keys {
            timers.fire(&mut loaded, kind, key)?;
        }
        timers.save(conn, loaded).await
    });
    fired.await
}

/// Fires the timers that are due and may fire now, and returns how many did. None may fire before the partitions of
/// all topics are known.
///
/// # Errors
/// Fails if due timers can't be looked up. A timer that fails is put off, and that is no error.
pub async fn fire_due<T: Timers>(pool: &Pool, consumer: &ConsumerHandle, timers: &T) -> anyhow::Result<usize> {
    Ok(sweep(pool, consumer, timers, &CancellationToken::new()).await?.fired)
}

/// The result of one sweep.
#[derive(Clone, Copy, Debug, Default)]
struct Swept {
    fired: usize,
    /// Whether some timers are due but may not fire yet, or are claimed by another instance.
    held_up: bool,
    next: Option<Duration>,
    /// For how long the oldest timer has been due, if some are held up.
    late: Duration,
}

/// Goes through the due timers, one window at a time, and fires those that may fire.
async fn sweep<T: Timers>(
    pool: &Pool,
    consumer: &ConsumerHandle,
    timers: &T,
    stop: &CancellationToken,
) -> anyhow::Result<Swept> {
    let mut conn = pool.get().await.context("a connection for timers")?;
    // Before the partitions of all topics are known nothing can fire, however late it is.
    let Some(gates) = consumer.gates() else {
        return Ok(told(Swept { late: claim::late(&mut conn).await?, ..Swept::default() }));
    };
    let (mut swept, mut from, mut late) = (Swept::default(), Place::default(), None);
    while !stop.is_cancelled() {
        let window = claim(&mut conn, consumer.group(), &gates, &from).await?;
        swept.held_up |= window.walked > window.claimed.len();
        late.get_or_insert(window.late);
        swept.fired += fire::all(&mut conn, timers, &window.claimed, stop).await?;
        let Some(end) = window.more_after else {
            swept.held_up |= window.next.is_some_and(|next| next.is_zero());
            swept.next = window.next;
            break;
        };
        from = end;
    }
    swept.late = late.filter(|_| swept.held_up).unwrap_or_default();
    Ok(told(swept))
}

fn told(swept: Swept) -> Swept {
    metrics::gauge!("timers_oldest_due_seconds").set(swept.late.as_secs_f64());
    swept
}
