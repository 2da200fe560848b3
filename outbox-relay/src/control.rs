//! The relay's session of its own: it holds the lock that makes it the leader, hears nudges and passes them on.

use std::pin::pin;
use std::time::Duration;

use anyhow::anyhow;
use diesel::ConnectionError;
use diesel::result::QueryResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::StreamExt;
use rand::RngExt;
use secrecy::ExposeSecret;
use service_kit::pool;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::answer::answered;
use crate::config::{Mode, RelayConfig};
use crate::health::State;
use crate::nudge::{CHANNEL, Nudge};
use crate::{gauges, rights, sql};

/// The advisory lock that the leading relay of a database holds. Each database has its own.
pub const LOCK: i64 = 0x6f75_7462_6f78_2d72; // "outbox-r"
/// The least time between two notifications: each takes an instance-wide lock when it commits.
const COALESCE: Duration = Duration::from_millis(5);

/// A session that does not lead.
pub(crate) struct Control {
    conn: AsyncPgConnection,
}

impl Control {
    pub async fn connect(config: &RelayConfig) -> anyhow::Result<Self> {
        let connected = pool::connect(config.database_url.expose_secret()).await;
        let mut conn = connected.map_err(|error| match &error {
            ConnectionError::InvalidConnectionUrl(why) => anyhow!("DATABASE_URL (or OUTBOX_RELAY_DATABASES): {why}"),
            _ if pool::mend(&error).is_some() => anyhow!("DATABASE_URL (or OUTBOX_RELAY_DATABASES): {error}"),
            _ => anyhow!(error).context("the relay's session"),
        })?;
        // This session is idle most of the time, so a limit on idle sessions would end it.
        answered(conn.batch_execute("set idle_session_timeout = 0")).await?;
        // `republish` and operators see by this name who leads. A name in the URL has precedence.
        let name = format!("outbox-relay {}", config.name);
        answered(sql::NameSession { name }.execute(&mut conn)).await?;
        Ok(Self { conn })
    }

    /// The tables or rights that are still missing, if any: the service makes them, and may start later.
    pub async fn not_yet(&mut self) -> QueryResult<Option<String>> {
        answered(rights::not_yet(&mut self.conn)).await
    }

    /// Why the database takes no writes now, if so.
    pub async fn takes_no_writes(&mut self) -> QueryResult<Option<String>> {
        answered(rights::takes_no_writes(&mut self.conn)).await
    }

    /// Tries once to lead.
    pub async fn try_lead(&mut self) -> QueryResult<bool> {
        answered(sql::TryLead { lock: LOCK }.get_result(&mut self.conn)).await
    }

    /// Who leads, as far as PostgreSQL tells this session's role; none when nobody does any more.
    pub async fn who_leads(&mut self) -> QueryResult<Option<String>> {
        Ok(answered(sql::WhoLeads { lock: LOCK }.load(&mut self.conn)).await?.pop())
    }

    /// Passes nudges on until this relay is elected (`true`) or `stop` is cancelled (`false`). With [`Mode::External`] it is
    /// never elected, and notes in `state` whether another relay leads.
    pub async fn stand_by(
        &mut self,
        config: &RelayConfig,
        nudge: &Nudge,
        state: &watch::Sender<State>,
        stop: &CancellationToken,
    ) -> QueryResult<bool> {
        loop {
            match config.mode {
                Mode::Embedded if self.try_lead().await? => return Ok(true),
                Mode::Embedded => {}
                Mode::External => self.tell_whether_led(config, state).await?,
            }
            // Jitter, so that several relays that stand by don't ask at the same moment.
            let wait = config.standby.mul_f64(rand::rng().random_range(0.8..1.2));
            let again = sleep(wait);
            tokio::pin!(again);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return Ok(false),
                    () = &mut again => break,
                    () = nudge.nudged() => {
                        self.pass_on().await?;
                        sleep(COALESCE).await;
                    }
                }
            }
        }
    }

    /// Without this, an outbox that no relay reads would be noticed only by the consumers that miss its events.
    async fn tell_whether_led(&mut self, config: &RelayConfig, state: &watch::Sender<State>) -> QueryResult<()> {
        let relay = &config.name;
        let led = self.who_leads().await?.is_some();
        let oldest = if led { None } else { answered(sql::OldestPending {}.get_result(&mut self.conn)).await? };
        let oldest = oldest.map(|seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default());
        let before = state.send_replace(oldest.map_or(State::StandingBy, State::NobodyLeads));
        match (before, oldest) {
            (State::NobodyLeads(_), Some(_)) => {}
            (_, Some(_)) => tracing::warn!(relay, "no relay leads, and this one may not: rows wait"),
            (State::NobodyLeads(_), None) => tracing::info!(relay, "no row waits without a relay any more"),
            (_, None) => {}
        }
        gauges::nobody_leads(config, oldest);
        Ok(())
    }

    /// In a transaction of its own, never in the one that appended.
    async fn pass_on(&mut self) -> QueryResult<()> {
        answered(self.conn.batch_execute(&format!("notify {CHANNEL}"))).await
    }

    /// Watches the session from now on: notifications become nudges, its end is told at once. Only a leader listens:
    /// one that stands by would pile up what it doesn't read.
    pub async fn lead(mut self, nudge: Nudge, check: Duration) -> QueryResult<Leadership> {
        answered(self.conn.batch_execute(&format!("listen {CHANNEL}"))).await?;
        let (lost, ended) = (CancellationToken::new(), CancellationToken::new());
        let watcher = tokio::spawn({
            let (lost, ended) = (lost.clone(), ended.clone());
            async move {
                tokio::select! {
                    () = ended.cancelled() => {}
                    why = keep(self.conn, nudge, check) => tracing::warn!(why, "the leader's session was lost"),
                }
                lost.cancel();
            }
        });
        Ok(Leadership { lost, ended, watcher: Some(watcher) })
    }
}

/// Returns when the session is lost.
async fn keep(mut conn: AsyncPgConnection, nudge: Nudge, check: Duration) -> String {
    loop {
        {
            let mut notifications = pin!(conn.notifications_stream());
            let due = sleep(check);
            tokio::pin!(due);
            loop {
                tokio::select! {
                    () = &mut due => break,
                    notification = notifications.next() => match notification {
                        Some(Ok(_)) => nudge.nudge(),
                        Some(Err(error)) => return error.to_string(),
                        None => return "the connection was closed".to_owned(),
                    }
                }
            }
        }
        // A connection cut without a word is only noticed by using it.
        if let Err(error) = answered(sql::Ping {}.execute(&mut conn)).await {
            return error.to_string();
        }
    }
}

/// Holds the leader's lock until it is dropped.
pub(crate) struct Leadership {
    lost: CancellationToken,
    ended: CancellationToken,
    watcher: Option<JoinHandle<()>>,
}

impl Leadership {
    /// Cancelled once the session, and with it the lock, is gone.
    pub const fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Gives the lock up by ending its session.
    pub async fn resign(mut self) {
        self.ended.cancel();
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.await; // it only watches
        }
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}
