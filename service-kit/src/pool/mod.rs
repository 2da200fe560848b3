//! The pool of database connections.
//!
//! A connection goes back into the pool only if it has no request in flight and no open transaction, and its server
//! takes writes. Otherwise it is closed. The pool decides this from the bytes on the wire, without a round trip.

mod address;
mod connect;
mod encrypted;
mod failures;
mod observed;
mod shares;
mod tls;
mod wire;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use deadpool::Runtime;
use deadpool::managed::{self, Manager, Metrics, Object, RecycleError, RecycleResult, TimeoutType};
use diesel::ConnectionError;
use diesel::sql_types::{Bool, Text};
use diesel_async::pooled_connection::deadpool::PoolError;
use diesel_async::pooled_connection::{self, PoolableConnection};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use metrics::{Counter, Histogram};
use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

pub use self::address::{check, list, place};
use self::connect::{CONNECT, Purpose, SILENCE, Session, session};
pub use self::connect::{connect, connect_for_long, connect_for_long_within, connect_patiently, connect_to_read};
pub use self::failures::{first_cause, is_lock_timeout, may_pass, mend};
pub use self::shares::Share;
use self::shares::{SHARED_OUT, Shares};
pub use self::wire::Traffic;
use crate::config::DatabaseConfig;
use crate::telemetry;
use crate::trace::{self, Kind, Told, semconv};

/// How long a request waits for a free connection before it is answered with 503.
const CHECKOUT: Duration = Duration::from_secs(5);
/// How long a connection is used, give or take a fifth. Replacing connections lets them move to the right server
/// after a failover or a change in the DNS.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// How long a connection that was dropped in mid-request may take to finish it.
const FINISH: Duration = Duration::from_millis(500);

/// Connections to the service's own database, for one kind of work.
#[derive(Clone)]
pub struct Pool {
    connections: managed::Pool<Connections>,
    shares: Arc<Shares>,
    share: Share,
    main: Handle,
    waited: Histogram,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Pool {
    /// The same pool, for another kind of work.
    #[must_use]
    pub fn of(&self, share: Share) -> Self {
        Self { share, waited: waited_for(share), ..self.clone() }
    }

    /// Takes a connection, once one is free for this kind of work.
    ///
    /// # Errors
    /// Fails if none is free within five seconds, or if the server can't be reached or takes no writes.
    pub async fn get(&self) -> Result<Conn, PoolError> {
        let began = Instant::now();
        let taken = self.take().await;
        self.waited.record(began.elapsed().as_secs_f64());
        if let Err(PoolError::Timeout(_)) = taken {
            timeouts(self.share).increment(1);
        }
        taken
    }

    async fn take(&self) -> Result<Conn, PoolError> {
        let late = |_| PoolError::Timeout(TimeoutType::Wait);
        let span = trace::current().filter(|of| of.is_sampled()).map(|of| (of, SystemTime::now()));
        let place = timeout(CHECKOUT, self.shares.enter(self.share)).await.map_err(late)?;
        let object = self.connections.get().await?;
        Ok(Conn { object: Some(object), place, main: self.main.clone(), span })
    }

    /// The most connections that this kind of work can have at once.
    pub fn most(&self) -> usize {
        Shares::most(self.connections.status().max_size, self.share)
    }

    /// Tells of its connections whenever somebody asks, for as long as there is a pool.
    fn measure(&self) {
        let (connections, shares) = (self.connections.weak(), Arc::downgrade(&self.shares));
        let of = |state: &'static str| metrics::gauge!("database_pool_connections", "state" => state);
        let (idle, used, most) = (of("idle"), of("used"), metrics::gauge!("database_pool_connections_max"));
        let waiting = metrics::gauge!("database_pool_waiting");
        telemetry::at_each_look(move || {
            let (Some(pool), Some(shares)) = (connections.upgrade(), shares.upgrade()) else { return };
            let status = pool.status();
            idle.set(status.available as f64);
            used.set(status.size.saturating_sub(status.available) as f64);
            most.set(status.max_size as f64);
            waiting.set((status.waiting + shares.waiting()) as f64);
        });
    }

    /// Closes the idle connections and hands out no more.
    pub fn close(&self) {
        self.connections.close();
    }
}

/// A connection from the pool. Dropping it returns it to the pool, or closes it if it isn't fit for reuse.
#[must_use]
pub struct Conn {
    object: Option<Object<Connections>>,
    place: Option<OwnedSemaphorePermit>,
    main: Handle,
    /// The work that asked for it, if its trace is sampled, and when.
    span: Option<(trace::Context, SystemTime)>,
}

impl Conn {
    /// The process id of the backend that serves it; 0 if that isn't known.
    pub fn backend(&self) -> i32 {
        self.object.as_ref().map_or(0, |object| object.session.wire.backend())
    }

    /// What it was asked since it was opened.
    pub fn traffic(&self) -> Traffic {
        self.object.as_ref().map(|object| object.session.wire.traffic()).unwrap_or_default()
    }
}

impl Deref for Conn {
    type Target = AsyncPgConnection;

    #[expect(clippy::expect_used, reason = "only drop takes it")]
    fn deref(&self) -> &AsyncPgConnection {
        &self.object.as_ref().expect("it is there until it is dropped").session
    }
}

impl DerefMut for Conn {
    #[expect(clippy::expect_used, reason = "only drop takes it")]
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        &mut self.object.as_mut().expect("it is there until it is dropped").session
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        let place = self.place.take();
        if let Some((of, since)) = self.span {
            let told = || Told::new(Kind::Client, "database").with(semconv::DB_SYSTEM_NAME, "postgresql");
            trace::waited(of, since, SystemTime::now(), told);
        }
        if !object.session.wire.is_busy() {
            give_back(object);
            return;
        }
        // The request's owner was dropped, or read the first row and no more. Most answers arrive within a moment.
        self.main.spawn(async move {
            _ = timeout(FINISH, object.session.wire.settled()).await;
            give_back(object);
            drop(place);
        });
    }
}

/// Returns a connection to the pool, or closes it if it isn't fit for reuse. Closing makes PostgreSQL roll back an
/// open transaction at once, not when the connection is used next.
fn give_back(mut object: Object<Connections>) {
    let Some(why) = object.unfit() else { return };
    tracing::debug!(backend = object.session.wire.backend(), why, "a connection is closed");
    metrics::counter!("database_connections_closed_total", "why" => why).increment(1);
    drop(Object::take(object));
}

/// Opens connections and checks whether they are still good.
struct Connections {
    url: SecretString,
    silence: Duration,
    /// Each connection's driver is spawned on this runtime. On an actix worker's single thread, one busy handler
    /// would stall every connection that was opened from it.
    main: Handle,
}

/// A connection of the pool.
struct Pooled {
    session: Session,
    lifetime: Duration,
}

impl Pooled {
    fn unfit(&mut self) -> Option<&'static str> {
        if self.session.wire.is_busy() {
            return Some("a request is without an answer");
        }
        let broken = PoolableConnection::is_broken(&mut *self.session).then_some("a transaction is open");
        self.session.wire.unfit().or(broken)
    }
}

impl Manager for Connections {
    type Type = Pooled;
    type Error = pooled_connection::PoolError;

    async fn create(&self) -> Result<Pooled, Self::Error> {
        let (url, silence) = (self.url.clone(), self.silence);
        let opened = self.main.spawn(async move { session(url.expose_secret(), Purpose::Serve, silence).await });
        let stopped = |error: tokio::task::JoinError| ConnectionError::BadConnection(error.to_string());
        let opened = opened.await.map_err(stopped).flatten();
        let session = opened.map_err(pooled_connection::PoolError::ConnectionError)?;
        Ok(Pooled { session, lifetime: LIFETIME.mul_f64(rand::rng().random_range(0.8..1.2)) })
    }

    async fn recycle(&self, pooled: &mut Pooled, metrics: &Metrics) -> RecycleResult<Self::Error> {
        let old = (metrics.age() > pooled.lifetime).then_some("it is old");
        match pooled.unfit().or(old) {
            Some(why) => Err(RecycleError::message(why)),
            None => Ok(()),
        }
    }
}

/// Opens the pool. It must be called on the main runtime, which drives the connections.
///
/// # Errors
/// Fails if PostgreSQL refuses the connection or can't be reached within two minutes, or if it doesn't write its
/// messages in English.
pub async fn open(config: &DatabaseConfig) -> anyhow::Result<Pool> {
    open_within(config, SILENCE).await
}

/// Like [`open`], with another limit on how long a request may be without an answer.
///
/// # Errors
/// Fails as [`open`] does.
pub async fn open_within(config: &DatabaseConfig, silence: Duration) -> anyhow::Result<Pool> {
    let main = Handle::current();
    let connections = managed::Pool::builder(Connections { url: config.url.clone(), silence, main: main.clone() })
        .max_size(config.pool_size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(CHECKOUT))
        // The time covers several hosts in the URL, each with its own limit.
        .create_timeout(Some(CONNECT * 4))
        .recycle_timeout(Some(CONNECT))
        .build()
        .context("the pool could not be built")?;
    if config.pool_size < SHARED_OUT {
        tracing::warn!(
            pool_size = config.pool_size,
            "DATABASE_POOL_SIZE is below {SHARED_OUT}: no connection is kept for one kind of work, so that requests can keep \
             events, timers and readiness from the database, and those the requests"
        );
    }
    let mut first = connect_patiently(config.url.expose_secret()).await?;
    refuse_other_languages(&mut first).await?;
    let (shares, share) = (Arc::new(Shares::of(config.pool_size)), Share::Upkeep);
    let pool = Pool { connections, shares, share, main, waited: waited_for(share) };
    pool.measure();
    Ok(pool)
}

/// How often this kind of work got no connection in time.
fn timeouts(share: Share) -> Counter {
    metrics::counter!("database_pool_timeouts_total", "share" => share.name())
}

fn waited_for(share: Share) -> Histogram {
    timeouts(share).increment(0); // an increase from nothing to 1 is none to Prometheus
    metrics::histogram!("database_pool_wait_seconds", "share" => share.name())
}

/// diesel keeps no SQLSTATE beyond its own kinds, so [`may_pass`] reads PostgreSQL's messages, which must be in
/// English.
async fn refuse_other_languages(conn: &mut AsyncPgConnection) -> anyhow::Result<()> {
    let shown: Language =
        diesel::sql_query("select current_setting('lc_messages') as language").get_result(conn).await?;
    let language = shown.language;
    let english = ["C", "POSIX", "en"].iter().any(|known| language.starts_with(known)) || language.is_empty();
    anyhow::ensure!(
        english,
        "PostgreSQL writes its messages in {language:?}, but this program recognises passing failures only by English \
         messages: run `alter database ... set lc_messages = 'C'` as a superuser"
    );
    Ok(())
}

#[derive(diesel::QueryableByName)]
struct Language {
    #[diesel(sql_type = Text)]
    language: String,
}

#[derive(diesel::QueryableByName)]
struct Writable {
    #[diesel(sql_type = Bool)]
    writable: bool,
}

/// For readiness: checks that the database takes writes now.
///
/// # Errors
/// Fails with the reason if it doesn't answer or takes no writes.
pub async fn takes_writes(pool: &Pool) -> Result<(), String> {
    let ask = async {
        let mut conn = pool.get().await.map_err(|error| error.to_string())?;
        diesel::sql_query(
            "select not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off' as writable",
        )
        .get_result::<Writable>(&mut conn)
        .await
        .map_err(|error| error.to_string())
    };
    match timeout(Duration::from_secs(2), ask).await {
        Ok(Ok(answer)) if answer.writable => Ok(()),
        Ok(Ok(_)) => Err(NO_WRITES.to_owned()),
        Ok(Err(error)) if refuses_writes(&error) => Err(NO_WRITES.to_owned()),
        Ok(Err(_)) | Err(_) => Err("it does not answer".to_owned()),
    }
}

/// Whether the text of a connection error says that the server takes no writes.
pub fn refuses_writes(told: &str) -> bool {
    told.contains("does not allow writes")
}

/// What readiness reports of a database that is read-only.
const NO_WRITES: &str = "it takes no writes: a standby, or default_transaction_read_only is on";
