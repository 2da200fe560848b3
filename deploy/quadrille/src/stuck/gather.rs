//! Gathers the facts, from all places at once. What doesn't answer is noted, and the rest is read.

use std::time::Duration;

use anyhow::{Context, bail};
use chrono::Utc;
use diesel_async::SimpleAsyncConnection;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use service_kit::{locks, open_transactions};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::facts::{Away, Facts, InDatabase, InKafka, Ready};
use super::sql;
use crate::audit::Sources;
use crate::audit::sql::Snapshot;
use crate::cluster::Cluster;
use crate::http_client;
use crate::service::Service;
use crate::topics::overview;

/// How long one answer may take. Who waits longer can't tell within ten seconds what keeps an order.
const ANSWER: Duration = Duration::from_secs(3);
/// How long all of a place may take.
const PLACE: Duration = Duration::from_secs(7);
/// The same as `ANSWER`, for PostgreSQL. A lock that is held on a whole table must not keep the rest from being told.
const LIMITS: &str = "set local lock_timeout = '1s'; set local statement_timeout = '3s'";

/// Asks databases, brokers and services.
pub(crate) async fn gather(sources: &Sources) -> Facts {
    let [order, stock, payment, notification] = Service::WITH_OUTBOX;
    let (order_svc, stock_svc, payment_svc, notification_svc, kafka, ready) = tokio::join!(
        database(sources, order),
        database(sources, stock),
        database(sources, payment),
        database(sources, notification),
        kafka(&sources.cluster),
        ready(sources),
    );
    let mut facts = Facts { now: Utc::now(), kafka: Some(kafka), ..Facts::default() };
    facts.ready = ready.into_iter().collect();
    let looks = [(order, order_svc), (stock, stock_svc), (payment, payment_svc), (notification, notification_svc)];
    for (service, look) in looks {
        facts.overdue.extend(look.overdue);
        facts.databases.insert(service, look.found);
        let what = format!("the database of {}", service.name());
        facts.away.extend(look.failed.map(|error| Away { what, why: format!("{error:#}") }));
        facts.unreachable.extend(look.unreachable.map(|why| (service, why)));
    }
    facts
}

/// What a database has told until it failed, if it did.
#[derive(Default)]
struct Look {
    found: InDatabase,
    overdue: Vec<super::facts::Waiting>,
    failed: Option<anyhow::Error>,
    unreachable: Option<String>,
}

async fn database(sources: &Sources, service: Service) -> Look {
    let mut look = Look::default();
    let read = async {
        let begun = Snapshot::begin(sources.database(service)?).await;
        look.unreachable = begun.as_ref().err().map(|error| format!("{error:#}"));
        let mut snapshot = begun?;
        snapshot.conn().batch_execute(LIMITS).await?;
        look.read(&mut snapshot, service).await?;
        snapshot.end().await
    };
    let read = timeout(PLACE, read).await;
    look.failed = read.unwrap_or_else(|_| bail_late()).err();
    look
}

fn bail_late() -> anyhow::Result<()> {
    bail!("it has not told everything within {} s", PLACE.as_secs())
}

impl Look {
    /// Who holds locks and snapshots is asked first: a lock on a table ends the look where that is read.
    async fn read(&mut self, snapshot: &mut Snapshot, service: Service) -> anyhow::Result<()> {
        let found = &mut self.found;
        found.locks = snapshot.rows(&locks::waiting()).await?;
        found.transactions = snapshot.rows(&open_transactions::held()).await?;
        if !snapshot.is_migrated().await? {
            bail!("it is empty: {} has never run on it", service.name());
        }
        found.outbox = rows(snapshot, service, sql::OUTBOX).await?;
        found.is_relayed = rows::<Relayed>(snapshot, service, sql::IS_RELAYED).await?.iter().any(|row| row.is_relayed);
        found.parked = rows(snapshot, service, sql::PARKED).await?;
        found.dead_letters = rows(snapshot, service, sql::DEAD_LETTERS).await?;
        found.progress = rows(snapshot, service, sql::PROGRESS).await?;
        found.timers = rows(snapshot, service, sql::TIMERS).await?;
        match service {
            Service::OrderSvc => self.overdue = rows(snapshot, service, sql::OVERDUE).await?,
            Service::PaymentSvc => found.calls = rows(snapshot, service, sql::CALLS).await?,
            Service::NotificationSvc => found.messages = rows(snapshot, service, sql::MESSAGES).await?,
            _ => {}
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Relayed {
    is_relayed: bool,
}

async fn rows<T: DeserializeOwned>(snapshot: &mut Snapshot, service: Service, query: &str) -> anyhow::Result<Vec<T>> {
    let query = query.replace("$most", &sql::MOST.to_string()).replace("$service", service.name());
    snapshot.rows(&query.replace("$lock", &outbox_relay::LEADERS_LOCK.to_string())).await
}

async fn kafka(cluster: &Cluster) -> Result<InKafka, String> {
    let cluster = cluster.clone();
    let read = tokio::task::spawn_blocking(move || overview::read(&cluster, ANSWER));
    let overview = async { read.await.context("asking Kafka")? }.await.map_err(|error| format!("{error:#}"))?;
    let of = |service: Service| Some((service, overview.of_group(service.name())?));
    Ok(InKafka { groups: Service::WITH_OUTBOX.into_iter().filter_map(of).collect(), missing: overview.missing() })
}

/// Asks every service whose address is known whether it is ready.
async fn ready(sources: &Sources) -> Vec<(Service, Result<Ready, String>)> {
    let mut asked = JoinSet::new();
    for service in Service::WITH_OUTBOX {
        let Some(url) = sources.url(service).map(str::to_owned) else { continue };
        asked.spawn(async move { (service, readyz(&url).await.map_err(|error| format!("{error:#}"))) });
    }
    asked.join_all().await
}

async fn readyz(url: &str) -> anyhow::Result<Ready> {
    let url: url::Url = format!("{}/readyz", url.trim_end_matches('/')).parse()?;
    let answer = http_client::client(&url, ANSWER)?.get(url).send().await.map_err(reqwest::Error::without_url)?;
    Ok(answer.json().await?)
}
