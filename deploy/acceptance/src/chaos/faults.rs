//! Brings a fault about, and ends it.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use quadrille::addresses::Addresses;
use quadrille::api::Api;
use quadrille::service::Service;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use service_kit::pool;
use tokio::time::sleep;

use super::records;
use super::schedule::{Kind, Planned};
use super::servers::Servers;

/// What was brought about is ended within this, whatever else is broken.
const ENDED_WITHIN: Duration = Duration::from_secs(120);
const AGAIN: Duration = Duration::from_millis(200);
/// Of each database the tables that somebody may lock.
const TABLES: [(&str, [&str; 4]); 4] = [
    ("order_svc", ["orders", "outbox", "inbox", "timers"]),
    ("stock_svc", ["orders", "outbox", "inbox", "stock_levels"]),
    ("payment_svc", ["payments", "outbox", "inbox", "gateway_calls"]),
    ("notification_svc", ["notifications", "outbox", "inbox", "orders"]),
];

/// What faults are brought about in.
pub(super) struct World<'a> {
    pub api: Api,
    pub http: reqwest::Client,
    pub servers: &'a Servers,
    pub at: Addresses,
}

/// What came of a fault.
#[derive(Debug)]
pub(super) struct Done {
    pub planned: Planned,
    /// From the beginning of the run.
    pub began: Duration,
    pub ended: Duration,
    /// Why it was none, such as that whoever was to be killed was dead.
    pub missed: Option<String>,
    /// Why it could not be ended, which is this run's trouble and not the shop's.
    pub stays: Option<String>,
}

impl Done {
    /// The key of the record that nobody can read, whether or not its sending was acknowledged.
    pub fn poisoned(&self) -> Option<String> {
        (self.planned.kind == Kind::Poison).then(|| records::poisoned_key(self.planned.draw))
    }
}

impl World<'_> {
    /// Brings it about now, and returns once it has ended.
    pub async fn bring(&self, planned: Planned, start: Instant) -> Done {
        let began = start.elapsed();
        let brought = self.begin(&planned).await;
        sleep(if brought.is_ok() && planned.kind.goes_on() { planned.lasts } else { Duration::ZERO }).await;
        // Even if it did not begin: an answer that is late says nothing of what was done.
        let ended = self.end(&planned).await;
        let why = |outcome: anyhow::Result<()>| outcome.err().map(|error| format!("{error:#}"));
        Done { planned, began, ended: start.elapsed(), missed: why(brought), stays: why(ended) }
    }

    /// Begins it; what lasts by itself has ended when this returns.
    async fn begin(&self, fault: &Planned) -> anyhow::Result<()> {
        let (whom, lasts) = (fault.whom, fault.lasts);
        match fault.kind {
            Kind::Killed => self.press(whom, "kill").await,
            Kind::Frozen => self.press(whom, "freeze").await,
            Kind::Away => self.press(whom, "stop").await,
            Kind::ServerKilled => match self.servers.kill(whom, lasts).await? {
                true => Ok(()),
                false => self.press(whom, "kill").await,
            },
            Kind::ServerFrozen => {
                ensure!(self.servers.freeze(whom, lasts).await?, "{whom} can't be frozen");
                Ok(())
            }
            Kind::SessionsEnded => self.tell("postgres", &ended_sessions(whom)).await,
            Kind::ReadOnly => {
                self.tell("postgres", &format!("alter database {whom} set default_transaction_read_only = on")).await?;
                self.tell("postgres", &ended_sessions(whom)).await
            }
            Kind::LockHeld => {
                let (_, tables) = TABLES.iter().find(|(name, _)| *name == whom).context("an unknown database")?;
                let table = tables[usize::try_from(fault.draw % 4)?];
                let lock = format!("set lock_timeout = '5s'; begin; lock table {table} in access exclusive mode");
                self.during(whom, &lock, lasts).await
            }
            Kind::SnapshotHeld => {
                let snapshot = "begin isolation level repeatable read; select count(*) from outbox";
                self.during(whom, snapshot, lasts).await
            }
            Kind::ConnectionsCut => self.link(whom).map(quadrille_servers::Link::cut),
            Kind::ConnectionsHeld => self.link(whom).map(quadrille_servers::Link::hold),
            Kind::ConnectionsSlow => self.link(whom).map(|link| link.slow(Duration::from_millis(1 + fault.draw % 40))),
            Kind::GatewayFails => self.set_gateway(&json!({"failure_rate": 0.5})).await,
            Kind::GatewaySlow => self.set_gateway(&json!({"delay_ms": 500 + fault.draw % 4_000})).await,
            Kind::AnswersWithheld => self.set_gateway(&json!({"withhold_answers": true})).await,
            Kind::WebhooksTwice => self.set_gateway(&json!({"webhooks": {"duplicate": true, "reorder": true}})).await,
            Kind::WebhooksLost => self.set_gateway(&json!({"webhooks": {"lose": true}})).await,
            Kind::Poison => records::poison(&self.at.kafka, whom, fault.draw).await,
            Kind::Repeated => records::repeat(&self.at.kafka, whom, fault.draw).await,
        }
    }

    /// Ends it, if it has not ended by itself; again and again, since whoever is asked may be away.
    async fn end(&self, fault: &Planned) -> anyhow::Result<()> {
        let whom = fault.whom;
        match fault.kind {
            Kind::Frozen => self.surely(async || self.pressed(whom, "continue").await).await,
            Kind::Away => self.surely(async || self.pressed(whom, "start").await).await,
            Kind::ReadOnly => {
                let reset = format!("alter database {whom} reset default_transaction_read_only");
                self.surely(async || self.tell("postgres", &reset).await).await?;
                self.surely(async || self.tell("postgres", &ended_sessions(whom)).await).await
            }
            Kind::ConnectionsHeld => self.link(whom).map(quadrille_servers::Link::release),
            Kind::ConnectionsSlow => self.link(whom).map(|link| link.slow(Duration::ZERO)),
            Kind::GatewayFails
            | Kind::GatewaySlow
            | Kind::AnswersWithheld
            | Kind::WebhooksTwice
            | Kind::WebhooksLost => self.well_gateway().await,
            _ => Ok(()),
        }
    }

    fn link(&self, name: &str) -> anyhow::Result<&quadrille_servers::Link> {
        self.servers.link(name).with_context(|| format!("there is no link {name:?}"))
    }

    /// Presses a switch of the runner.
    async fn press(&self, part: &str, switch: &str) -> anyhow::Result<()> {
        let (status, said) = self.asked(part, switch).await?;
        ensure!(status.is_success(), "{switch} {part}: {status} {said}");
        Ok(())
    }

    /// The same, where there may be nothing to switch any more: one that was killed meanwhile goes on by itself.
    async fn pressed(&self, part: &str, switch: &str) -> anyhow::Result<()> {
        let (status, said) = self.asked(part, switch).await?;
        ensure!(status.is_success() || status == StatusCode::CONFLICT, "{switch} {part}: {status} {said}");
        Ok(())
    }

    async fn asked(&self, part: &str, switch: &str) -> anyhow::Result<(StatusCode, String)> {
        let runner = self.at.audit.trim_end_matches("/audit");
        let request = self.http.post(format!("{runner}/parts/{part}/{switch}"));
        let request = request.header("content-type", "application/json").body("{}").timeout(Duration::from_secs(5));
        let answer = request.send().await?;
        Ok((answer.status(), answer.text().await.unwrap_or_default()))
    }

    /// Nothing goes wrong at the gateway from here on.
    pub async fn well_gateway(&self) -> anyhow::Result<()> {
        self.surely(async || self.set_gateway(&json!({})).await).await
    }

    /// Until it is done.
    async fn surely(&self, work: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let until = Instant::now() + ENDED_WITHIN;
        while let Err(error) = work().await {
            if Instant::now() >= until {
                return Err(error.context(format!("not within {} s", ENDED_WITHIN.as_secs())));
            }
            sleep(AGAIN).await;
        }
        Ok(())
    }

    async fn set_gateway(&self, faults: &Value) -> anyhow::Result<()> {
        let at = "/sandbox/faults";
        let (status, answer) = self.api.ask(Method::PUT, Service::SandboxGateway, at, Some(faults)).await?;
        ensure!(status.is_success(), "the gateway's faults: {status} {answer}");
        Ok(())
    }

    async fn connect(&self, database: &str) -> anyhow::Result<AsyncPgConnection> {
        Ok(pool::connect(&self.servers.database(database)).await?)
    }

    async fn tell(&self, database: &str, statements: &str) -> anyhow::Result<()> {
        Ok(self.connect(database).await?.batch_execute(statements).await?)
    }

    /// Has a transaction open for so long; it ends with its connection at the latest.
    async fn during(&self, database: &str, statements: &str, lasts: Duration) -> anyhow::Result<()> {
        let mut conn = self.connect(database).await?;
        conn.batch_execute(statements).await?;
        sleep(lasts).await;
        // It may be gone, and its transaction with it.
        conn.batch_execute("rollback").await.ok();
        Ok(())
    }
}

fn ended_sessions(database: &str) -> String {
    format!(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '{database}' and pid <> pg_backend_pid()"
    )
}
