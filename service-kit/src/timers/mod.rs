//! Timers: what is to happen at a moment, unless it is cancelled before.
//!
//! The clock is the database's. A timer fires only when the service has heard everything up to its due time in the
//! key's partition of every topic that it hears through the inbox, so that an outage of its own, or of the brokers,
//! doesn't fire them all; the timers of a parked key wait with it.

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

/// The longest wait between two looks. What this instance doesn't know of is a timer that was set since the last look.
const IDLE: Duration = Duration::from_secs(2);
/// How soon timers that are due and can't fire are looked at again, at first and in the end.
const HELD_UP: Duration = Duration::from_millis(400);
const LONG_HELD_UP: Duration = Duration::from_secs(2);
/// While nothing fires, no more than a twentieth of the time goes into walking over what is held up, or the wait is
/// this long.
const LONGEST: Duration = Duration::from_secs(10);
const SHARE: u32 = 20;

/// What a service does when a timer is due.
pub trait Timers: Send + Sync + 'static {
    /// The roots of timers that are due and what hangs on them, as they are in memory; and what was decided meanwhile.
    type Loaded: Send;

    /// Locks the root rows of these keys and reads what hangs on them, as every command and reaction that speaks for them
    /// does first: all roots sorted, then all else sorted.
    fn load(
        &self,
        conn: &mut AsyncPgConnection,
        keys: &[&str],
    ) -> impl Future<Output = Result<Self::Loaded, ReactionError>> + Send;

    /// Decides what a timer that is due does. It may be set anew. If one fails, its transaction is rolled back, and each of
    /// the timers in it is tried by itself.
    ///
    /// # Errors
    /// See [`ReactionError`].
    fn fire(&self, loaded: &mut Self::Loaded, kind: &str, key: &str) -> Result<(), ReactionError>;

    /// Writes what was decided, in the transaction that takes the timers away.
    fn save(
        &self,
        conn: &mut AsyncPgConnection,
        loaded: Self::Loaded,
    ) -> impl Future<Output = Result<(), ReactionError>> + Send;

    /// A timer's transaction was committed: here the relay is nudged. Must not block.
    fn committed(&self) {}
}

/// Sets the timer of this kind for `key`, or moves it. In the transaction that holds the key's root row.
///
/// # Errors
/// The database's.
pub async fn set(conn: &mut AsyncPgConnection, kind: &str, key: &str, due_at: DateTime<Utc>) -> QueryResult<()> {
    set_all(conn, kind, &[(key, due_at)]).await
}

/// Sets the timers of this kind for many keys, or moves them. In the transaction that holds their root rows.
///
/// # Errors
/// The database's.
pub async fn set_all(mut conn: &AsyncPgConnection, kind: &str, timers: &[(&str, DateTime<Utc>)]) -> QueryResult<()> {
    let (keys, due_at): (Vec<_>, _) = timers.iter().copied().unzip();
    let key_hashes = keys.iter().map(|key| key_hash(key)).collect();
    Set { kind, keys, key_hashes, due_at }.execute(&mut conn).await.map(drop)
}

crate::prepared! {
    struct Set<'a> {
        kind: &'a str as Text,
        keys: Vec<&'a str> as Array<Text>,
        key_hashes: Vec<i32> as Array<Integer>,
        due_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
    };
    "insert into timers (kind, key, key_hash, due_at) select ?, * from unnest(?, ?, ?) \
     on conflict (kind, key) do update set due_at = excluded.due_at, attempts = 0, not_before = 'epoch'"
}

/// Cancels the timer of this kind for `key`; there may be none.
///
/// # Errors
/// The database's.
pub async fn cancel(conn: &mut AsyncPgConnection, kind: &str, key: &str) -> QueryResult<()> {
    cancel_all(conn, kind, &[key]).await
}

/// Cancels the timers of this kind for these keys, as far as there are any.
///
/// # Errors
/// The database's.
pub async fn cancel_all(mut conn: &AsyncPgConnection, kind: &str, keys: &[&str]) -> QueryResult<()> {
    Cancel { kind, keys }.execute(&mut conn).await.map(drop)
}

crate::prepared! {
    struct Cancel<'a> { kind: &'a str as Text, keys: &'a [&'a str] as Array<Text> };
    "delete from timers where kind = ? and key = any(?)"
}

/// Fires timers as they fall due, until told to stop.
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

/// Fires timers in one transaction, whether they are set or not: for the tests of a service, which don't wait for them to
/// fall due.
///
/// # Errors
/// What has the kit put a timer off.
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

/// Fires what is due and may fire now; returns how many did. None may before the partitions of all topics are known.
///
/// # Errors
/// The database can't be asked. A timer that fails is put off, which is no error.
pub async fn fire_due<T: Timers>(pool: &Pool, consumer: &ConsumerHandle, timers: &T) -> anyhow::Result<usize> {
    Ok(sweep(pool, consumer, timers, &CancellationToken::new()).await?.fired)
}

/// What one walk over the due timers came to.
#[derive(Clone, Copy, Debug, Default)]
struct Swept {
    fired: usize,
    /// Some are due and may not fire yet, or are another instance's for now.
    held_up: bool,
    /// When the next one is due.
    next: Option<Duration>,
}

/// Walks over what is due, a window at a time, and fires what may fire.
async fn sweep<T: Timers>(
    pool: &Pool,
    consumer: &ConsumerHandle,
    timers: &T,
    stop: &CancellationToken,
) -> anyhow::Result<Swept> {
    let Some(gates) = consumer.gates() else { return Ok(Swept::default()) };
    let mut conn = pool.get().await.context("a connection for timers")?;
    let (mut swept, mut from) = (Swept::default(), Place::default());
    while !stop.is_cancelled() {
        let window = claim(&mut conn, consumer.group(), &gates, &from).await?;
        swept.held_up |= window.walked > window.claimed.len();
        swept.fired += fire::all(&mut conn, timers, &window.claimed, stop).await?;
        let Some(end) = window.more_after else {
            swept.held_up |= window.next.is_some_and(|next| next.is_zero());
            swept.next = window.next;
            break;
        };
        from = end;
    }
    Ok(swept)
}
