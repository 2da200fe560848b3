//! Brings a fault about, and ends it.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use quadrille::addresses::Addresses;
use quadrille::api::Api;
use quadrille::service::Service;
use reqwest::Method;
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
    /// The key of a record that nobody can read.
    pub poisoned: Option<String>,
}

impl World<'_> {
    /// Brings it about now, and returns once it has ended.
    pub async fn bring(&self, planned: Planned, start: Instant) -> Done {
        let began = start.elapsed();
        let outcome = self.outcome(&planned).await;
        let (missed, poisoned) = match outcome {
            Ok(poisoned) => (None, poisoned),
            Err(error) => (Some(format!("{error:#}")), None),
        };
        Done { planned, began, ended: start.elapsed(), missed, poisoned }
    }

    async fn outcome(&self, fault: &Planned) -> anyhow::Result<Option<String>> {
        let (whom, lasts) = (fault.whom, fault.lasts);
        match fault.kind {
            Kind::Killed => self.press(whom, "kill").await?,
            Kind::Frozen => self.pressed_for(whom, ["freeze", "continue"], lasts).await?,
            Kind::Away => self.pressed_for(whom, ["stop", "start"], lasts).await?,
            Kind::ServerKilled => {
                if !self.servers.kill(whom, lasts).await? {
                    self.press(whom, "kill").await?;
                }
            }
            Kind::ServerFrozen => {
                if !self.servers.freeze(whom, lasts).await? {
                    self.pressed_for(whom, ["freeze", "continue"], lasts).await?;
                }
            }
            Kind::SessionsEnded => self.tell("postgres", &ended_sessions(whom)).await?,
            Kind::ReadOnly => {
                let set = |what: &str| format!("alter database {whom} {what}; {}", ended_sessions(whom));
                self.tell("postgres", &set("set default_transaction_read_only = on")).await?;
                sleep(lasts).await;
                self.surely("postgres", &set("reset default_transaction_read_only")).await?;
            }
            Kind::LockHeld => {
                let (_, tables) = TABLES.iter().find(|(name, _)| *name == whom).context("an unknown database")?;
                let table = tables[usize::try_from(fault.draw % 4)?];
                let lock = format!("set lock_timeout = '5s'; begin; lock table {table} in access exclusive mode");
                self.during(whom, &lock, lasts).await?;
            }
            Kind::SnapshotHeld => {
                let snapshot = "begin isolation level repeatable read; select count(*) from outbox";
                self.during(whom, snapshot, lasts).await?;
            }
            Kind::ConnectionsCut => self.link(whom)?.cut(),
            Kind::ConnectionsHeld => {
                let link = self.link(whom)?;
                link.hold();
                sleep(lasts).await;
                link.release();
            }
            Kind::ConnectionsSlow => {
                let link = self.link(whom)?;
                link.slow(Duration::from_millis(1 + fault.draw % 40));
                sleep(lasts).await;
                link.slow(Duration::ZERO);
            }
            Kind::GatewayFails => self.gateway(json!({"failure_rate": 0.5}), lasts).await?,
            Kind::GatewaySlow => self.gateway(json!({"delay_ms": 500 + fault.draw % 4_000}), lasts).await?,
            Kind::AnswersWithheld => self.gateway(json!({"withhold_answers": true}), lasts).await?,
            Kind::WebhooksTwice => {
                self.gateway(json!({"webhooks": {"duplicate": true, "reorder": true}}), lasts).await?;
            }
            Kind::WebhooksLost => self.gateway(json!({"webhooks": {"lose": true}}), lasts).await?,
            Kind::Poison => return records::poison(&self.at.kafka, whom, fault.draw).await.map(Some),
            Kind::Repeated => records::repeat(&self.at.kafka, whom, fault.draw).await?,
        }
        Ok(None)
    }

    fn link(&self, name: &str) -> anyhow::Result<&quadrille_servers::Link> {
        self.servers.link(name).with_context(|| format!("there is no link {name:?}"))
    }

    /// Presses a switch of the runner.
    async fn press(&self, part: &str, switch: &str) -> anyhow::Result<()> {
        let runner = self.at.audit.trim_end_matches("/audit");
        let request = reqwest::Client::new().post(format!("{runner}/parts/{part}/{switch}"));
        let request = request.header("content-type", "application/json").body("{}").timeout(Duration::from_secs(5));
        let answer = request.send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "{switch} {part}: {status} {}", answer.text().await.unwrap_or_default());
        Ok(())
    }

    async fn pressed_for(&self, part: &str, [on, off]: [&str; 2], lasts: Duration) -> anyhow::Result<()> {
        self.press(part, on).await?;
        sleep(lasts).await;
        // One that was killed meanwhile goes on by itself.
        match self.press(part, off).await {
            Err(error) if format!("{error:#}").contains("409") => Ok(()),
            pressed => pressed,
        }
    }

    async fn gateway(&self, faults: Value, lasts: Duration) -> anyhow::Result<()> {
        self.set_gateway(&faults).await?;
        sleep(lasts).await;
        self.well_gateway().await
    }

    /// Nothing goes wrong at the gateway from here on.
    pub async fn well_gateway(&self) -> anyhow::Result<()> {
        let until = Instant::now() + ENDED_WITHIN;
        while let Err(error) = self.set_gateway(&json!({})).await {
            ensure!(Instant::now() < until, "the gateway's faults can't be ended: {error:#}");
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

    /// Until it has been done.
    async fn surely(&self, database: &str, statements: &str) -> anyhow::Result<()> {
        let until = Instant::now() + ENDED_WITHIN;
        while let Err(error) = self.tell(database, statements).await {
            if Instant::now() >= until {
                bail!("{statements}: {error:#}");
            }
            sleep(AGAIN).await;
        }
        Ok(())
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
