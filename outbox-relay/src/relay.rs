//! The relay: it stands by until it is elected, then leads and publishes.

use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use anyhow::Context;
use diesel_async::AsyncPgConnection;
use secrecy::ExposeSecret;
use service_kit::pool;
use service_kit::retry::Backoff;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::answer::answered;
use crate::config::RelayConfig;
use crate::control::{Control, Leadership};
use crate::health::{Health, State};
use crate::kafka::KafkaPublisher;
use crate::lead::{self, Lead};
use crate::nudge::Nudge;
use crate::publisher::Publisher;
use crate::term::{Outage, Term};
use crate::{gauges, rights};

/// A term of at least this length counts as a success. A shorter one is followed by an ever longer wait, whatever ended it:
/// the relay would only be elected to fail again.
const SOUND: Duration = Duration::from_secs(10);

/// What [`Relay::run_once`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    /// Another relay leads.
    StandingBy,
    /// There was nothing to do.
    Idle,
    /// Rows left the outbox.
    Done {
        /// Acknowledged by the broker.
        published: usize,
        /// Moved to `outbox_parked`.
        parked: usize,
    },
    /// The broker can't take rows now; they stay.
    Outage(String),
}

/// How one attempt to stand by and lead ended.
enum Served {
    /// It was told to stop.
    Whole,
    /// The database is not ready for a relay, for this reason.
    NotYet(String),
}

/// What went wrong in the attempts, so that the same reason is logged once.
#[derive(Default)]
struct Attempts {
    told: Option<String>,
    /// The relay stood by or led since: the next failure is logged even if it is the same.
    worked: bool,
}

impl Attempts {
    fn tell(&mut self, relay: &str, what: &str, why: String, wait: Duration) {
        let next_attempt_seconds = wait.as_secs_f64();
        if std::mem::take(&mut self.worked) || self.told.as_ref() != Some(&why) {
            tracing::warn!(relay, why, next_attempt_seconds, "{what}");
        } else {
            tracing::debug!(relay, why, next_attempt_seconds, "{what}");
        }
        self.told = Some(why);
    }
}

/// Publishes one database's outbox, or stands by for the relay that does.
pub struct Relay<P> {
    config: RelayConfig,
    publisher: P,
    nudge: Nudge,
    state: watch::Sender<State>,
}

impl Relay<KafkaPublisher> {
    /// A relay to Kafka. Nothing is connected yet.
    pub fn to_kafka(config: RelayConfig) -> Self {
        let publisher = KafkaPublisher::new(&config.brokers, config.in_flight.rows, config.in_flight.bytes);
        Self::new(config, publisher)
    }
}

impl<P: Publisher> Relay<P> {
    /// A relay to `publisher`. Nothing is connected yet.
    pub fn new(config: RelayConfig, publisher: P) -> Self {
        let (state, _) = watch::channel(State::Disconnected);
        Self { config, publisher, nudge: Nudge::default(), state }
    }

    /// A handle that wakes this relay, or the one that leads, after a commit.
    pub fn nudge(&self) -> Nudge {
        self.nudge.clone()
    }

    /// A handle that tells the relay's state.
    pub fn health(&self) -> Health {
        Health::of(&self.state)
    }

    /// Stands by and leads in turn until `stop` is cancelled. Then it waits for the rows that are under way, at most for
    /// [`RelayConfig::drain`]. It never ends by itself: every failure is retried with backoff. Dropping the future stops it.
    ///
    /// It works on a thread of its own. A relay and its connection wake each other for every few rows, and to wake a task of
    /// another thread costs more than reading those rows.
    pub async fn run(self, stop: CancellationToken) {
        let stop = stop.child_token();
        let _dropped = stop.clone().drop_guard();
        let here = spawn_blocking(move || match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                runtime.block_on(self.work(stop));
                None
            }
            Err(error) => {
                tracing::warn!(relay = self.config.name, %error, "the relay has no thread of its own");
                Some((self, stop))
            }
        });
        match here.await.map_err(JoinError::try_into_panic) {
            Ok(None) | Err(Err(_)) => {}
            Ok(Some((relay, stop))) => relay.work(stop).await,
            Err(Ok(panic)) => resume_unwind(panic),
        }
    }

    async fn work(mut self, stop: CancellationToken) {
        gauges::stands_by(&self.config);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut attempts = Attempts::default();
        while !stop.is_cancelled() {
            let (state, what, why) = match self.serve(&stop, &mut backoff, &mut attempts).await {
                Ok(Served::Whole) => continue,
                Ok(Served::NotYet(why)) => (State::Waiting(why.clone()), "the relay waits", why),
                Err(error) => (State::Disconnected, "the relay starts over", format!("{error:#}")),
            };
            self.state.send_replace(state);
            gauges::waiting(&self.config, true);
            let wait = backoff.next_wait();
            attempts.tell(&self.config.name, what, why, wait);
            tokio::select! { () = sleep(wait) => {}, () = stop.cancelled() => {} }
        }
    }

    /// One attempt: connects, stands by, leads.
    async fn serve(
        &mut self,
        stop: &CancellationToken,
        backoff: &mut Backoff,
        attempts: &mut Attempts,
    ) -> anyhow::Result<Served> {
        let connected = stop.run_until_cancelled(Control::connect(&self.config)).await;
        let Some(control) = connected else { return Ok(Served::Whole) };
        let mut control = match control {
            Err(error) if pool::refuses_writes(&format!("{error:#}")) => {
                return Ok(Served::NotYet("the database takes no writes: it is a standby, or read-only".to_owned()));
            }
            control => control?,
        };
        if let Some(why) = control.not_yet().await? {
            return Ok(Served::NotYet(why));
        }
        if let Some(why) = control.takes_no_writes().await? {
            return Ok(Served::NotYet(why));
        }
        self.state.send_replace(State::StandingBy);
        gauges::waiting(&self.config, false);
        attempts.worked = true;
        if !control.stand_by(&self.config, &self.nudge, &self.state, stop).await? {
            return Ok(Served::Whole);
        }
        let elected = Instant::now();
        let leadership = control.lead(self.nudge.clone(), self.config.upkeep).await?;
        let ended = self.lead(&leadership, stop).await;
        // Rows that are still with the publisher are given up before another relay may lead. It publishes them again.
        self.publisher.withdraw(Duration::ZERO, &mut Vec::new()).await;
        leadership.resign().await;
        if elected.elapsed() > SOUND {
            backoff.reset();
        }
        ended
    }

    async fn lead(&mut self, leadership: &Leadership, stop: &CancellationToken) -> anyhow::Result<Served> {
        let mut conn = working_connection(&self.config).await?;
        // The database may have become read-only while the relay stood by.
        if let Some(why) = answered(rights::takes_no_writes(&mut conn)).await? {
            return Ok(Served::NotYet(why));
        }
        tracing::info!(relay = self.config.name, "leads");
        let term = Term::new(&self.config, conn);
        let work = Lead::new(&self.config, term, &mut self.publisher, &self.nudge, &self.state);
        tokio::select! {
            biased;
            () = leadership.lost().cancelled() => anyhow::bail!("the leader's session is gone, another may lead"),
            ended = work.until(stop) => ended.map(|()| Served::Whole),
        }
    }

    /// Leads if no other relay does, and takes one batch to its end: it does what was asked for parked rows, reads once,
    /// publishes, deletes acknowledged rows and parks refused ones. For tests and for draining by hand. It waits for the
    /// broker as long as the Kafka client does.
    ///
    /// # Errors
    /// The database doesn't answer, refuses a statement, or ends the session that holds the leader's lock.
    pub async fn run_once(&mut self) -> anyhow::Result<BatchOutcome> {
        let mut control = Control::connect(&self.config).await?;
        if !control.try_lead().await? {
            return Ok(BatchOutcome::StandingBy);
        }
        let leadership = control.lead(self.nudge.clone(), self.config.upkeep).await?;
        let conn = working_connection(&self.config).await?;
        let mut term = Term::new(&self.config, conn);
        let outage = tokio::select! {
            () = leadership.lost().cancelled() => anyhow::bail!("the leader's session is gone"),
            outage = once(&mut term, &mut self.publisher) => outage?,
        };
        let count = term.meters.count;
        if outage.is_some() {
            self.publisher.withdraw(Duration::ZERO, &mut Vec::new()).await;
        }
        leadership.resign().await;
        Ok(match outage {
            Some(why) => BatchOutcome::Outage(why),
            None if count.published + count.parked == 0 => BatchOutcome::Idle,
            None => BatchOutcome::Done { published: count.published, parked: count.parked },
        })
    }
}

/// The relay's own connection for reading and deleting.
pub(crate) async fn working_connection(config: &RelayConfig) -> anyhow::Result<AsyncPgConnection> {
    let conn = pool::connect(config.database_url.expose_secret()).await.context("the relay's connection")?;
    planned(conn).await
}

/// Has every plan use the index, whatever PostgreSQL's statistics say of the number of rows.
pub(crate) async fn planned(mut conn: AsyncPgConnection) -> anyhow::Result<AsyncPgConnection> {
    let settings = "set enable_seqscan = off; set enable_bitmapscan = off; set jit = off; set plan_cache_mode = force_generic_plan";
    answered(diesel_async::SimpleAsyncConnection::batch_execute(&mut conn, settings)).await?;
    Ok(conn)
}

async fn once(term: &mut Term<'_>, publisher: &mut impl Publisher) -> anyhow::Result<Option<Outage>> {
    term.tend_archive().await?;
    if let Some(outage) = term.tend_parked(publisher).await? {
        return Ok(Some(outage));
    }
    term.prepare().await?;
    term.read();
    while !term.settled() {
        if let Some(outage) = lead::next(term, publisher, lead::Read::HandOver).await? {
            lead::finish(term).await?;
            return Ok(Some(outage));
        }
    }
    Ok(term.try_suspects(publisher).await?)
}
