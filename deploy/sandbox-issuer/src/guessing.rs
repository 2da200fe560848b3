//! Guessing is slowed down: so many attempts at once, then one at a time, for an account and for an address. An attempt that
//! succeeds doesn't count. What is kept is one time a key (the generic cell rate algorithm), in the database, so that a
//! restart or another instance forgets nothing.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Binary, Double, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::schema::attempts;
use crate::secrets;

/// How fast somebody may try.
#[derive(Clone, Copy, Debug)]
struct Pace {
    at_once: i32,
    then_every: TimeDelta,
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub enum Tried<'a> {
    /// The password of an account, by its e-mail address. Whether there is such an account makes no difference.
    Account(&'a str),
    /// Passwords or secrets, from an address.
    From(IpAddr),
    /// New accounts, from an address.
    NewAccounts(IpAddr),
}

impl Tried<'_> {
    const fn pace(self) -> Pace {
        let (at_once, seconds) = match self {
            Self::Account(_) => (5, 30),
            Self::From(_) => (20, 5),
            Self::NewAccounts(_) => (100, 10),
        };
        Pace { at_once, then_every: TimeDelta::seconds(seconds) }
    }

    /// A hash, for an address is personal data.
    fn key(self) -> Vec<u8> {
        secrets::sha256(&match self {
            Self::Account(email) => format!("account {email}"),
            Self::From(address) => format!("from {}", network(address)),
            Self::NewAccounts(address) => format!("new accounts from {}", network(address)),
        })
    }
}

/// Whoever has one IPv6 address has the 2^64 beside it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// How long to wait before the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany(pub Duration);

impl TooMany {
    /// For `Retry-After`: whole seconds, at least one.
    pub fn seconds(self) -> u32 {
        let seconds = self.0.as_millis().div_ceil(1000).max(1);
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }
}

/// Counts an attempt, unless there were too many, which is not counted.
pub async fn attempt(
    conn: &mut AsyncPgConnection,
    tried: Tried<'_>,
    now: DateTime<Utc>,
) -> QueryResult<Result<(), TooMany>> {
    let (key, Pace { at_once, then_every }) = (tried.key(), tried.pace());
    let most = now + then_every * at_once;
    let counted = sql_query(
        "insert into attempts as known (key, free_at) values ($1, $2 + make_interval(secs => $3)) \
         on conflict (key) do update set free_at = greatest(known.free_at, $2) + make_interval(secs => $3) \
         where greatest(known.free_at, $2) + make_interval(secs => $3) <= $4",
    )
    .bind::<Binary, _>(&key)
    .bind::<Timestamptz, _>(now)
    .bind::<Double, _>(then_every.as_seconds_f64())
    .bind::<Timestamptz, _>(most)
    .execute(conn)
    .await?;
    if counted == 1 {
        return Ok(Ok(()));
    }
    let free_at: Option<DateTime<Utc>> =
        attempts::table.find(&key).select(attempts::free_at).first(conn).await.optional()?;
    let wait = free_at.unwrap_or(most) + then_every - most;
    Ok(Err(TooMany(wait.to_std().unwrap_or_default())))
}

/// Takes back an attempt that succeeded; an account's others too, for whoever made them knows the password now.
pub async fn succeeded(conn: &mut AsyncPgConnection, tried: Tried<'_>) -> QueryResult<()> {
    let key = tried.key();
    let known = attempts::table.find(&key);
    if matches!(tried, Tried::Account(_)) {
        return diesel::delete(known).execute(conn).await.map(drop);
    }
    sql_query("update attempts set free_at = free_at - make_interval(secs => $2) where key = $1")
        .bind::<Binary, _>(&key)
        .bind::<Double, _>(tried.pace().then_every.as_seconds_f64())
        .execute(conn)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use service_kit::testing::TestDb;

    use super::*;

    const ANN: Tried<'static> = Tried::Account("ann@example.com");

    #[tokio::test(flavor = "multi_thread")]
    async fn so_many_attempts_are_free_and_then_each_has_its_time() {
        let db = TestDb::new(&crate::migrations()).await;
        let (mut conn, now) = (db.conn().await, Utc::now());
        for _ in 0..5 {
            assert_eq!(attempt(&mut conn, ANN, now).await.unwrap(), Ok(()));
        }
        for _ in 0..3 {
            let TooMany(wait) = attempt(&mut conn, ANN, now).await.unwrap().unwrap_err();
            assert_eq!(wait.as_secs_f64().round(), 30.0);
        }
        assert_eq!(attempt(&mut conn, Tried::Account("ben@example.com"), now).await.unwrap(), Ok(()));
        let later = now + TimeDelta::seconds(31);
        assert_eq!(attempt(&mut conn, ANN, later).await.unwrap(), Ok(()));
        assert!(attempt(&mut conn, ANN, later).await.unwrap().is_err());
        assert_eq!(attempt(&mut conn, ANN, now + TimeDelta::hours(1)).await.unwrap(), Ok(()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_attempt_that_succeeds_does_not_count() {
        let db = TestDb::new(&crate::migrations()).await;
        let (mut conn, now, from) = (db.conn().await, Utc::now(), Tried::From([10, 0, 0, 1].into()));
        for tried in [ANN, from] {
            for _ in 0..50 {
                assert_eq!(attempt(&mut conn, tried, now).await.unwrap(), Ok(()));
                succeeded(&mut conn, tried).await.unwrap();
            }
        }
    }

    #[test]
    fn an_address_stands_for_its_network() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!(network("10.0.0.1"), "10.0.0.1");
    }
}
