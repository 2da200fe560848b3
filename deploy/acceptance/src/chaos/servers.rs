//! The servers that the shop stands on, each behind a link, killed and frozen as machines are.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use quadrille_servers::{Durability, Kafka, Link, Postgres, kafka, port, postgres};
use tokio::sync::Mutex;
use tokio::time::sleep;

/// Connections for all services, for whoever looks, and for faults.
const SETTINGS: [&str; 2] = ["max_connections=400", "shared_buffers=256MB"];
/// How often a server that was killed is started until it is given up.
const STARTS: usize = 4;

pub(super) struct Servers {
    postgres: Mutex<Option<Postgres>>,
    postgres_options: postgres::Options,
    url: String,
    to_postgres: Link,
    kafka: Option<OwnKafka>,
}

struct OwnKafka {
    node: Mutex<Option<Kafka>>,
    options: kafka::Options,
    properties: String,
    link: Link,
}

impl Servers {
    /// PostgreSQL, and Apache Kafka if it is wanted.
    pub async fn start(folder: &Path, with_kafka: bool) -> anyhow::Result<Self> {
        let port = port::claim(None, "PostgreSQL")?;
        let durability = Durability::Real;
        let postgres_options = postgres::Options { folder: folder.join("postgres"), port: Some(port), durability };
        let postgres = Postgres::start_with(&postgres_options, &SETTINGS).await?;
        let url = postgres.url("postgres");
        let kafka = if with_kafka { Some(OwnKafka::start(&folder.join("kafka")).await?) } else { None };
        let to_postgres = Link::to(port).await?;
        Ok(Self { postgres: Mutex::new(Some(postgres)), postgres_options, url, to_postgres, kafka })
    }

    /// Where services reach PostgreSQL: through the link.
    pub fn linked_url(&self) -> String {
        let direct = self.postgres_options.port.unwrap_or_default();
        self.url.replace(&format!("127.0.0.1:{direct}"), &format!("127.0.0.1:{}", self.to_postgres.port()))
    }

    /// Where faults and checks reach a database, whatever happens to the link.
    pub fn database(&self, name: &str) -> String {
        database_at(&self.url, name)
    }

    /// Where clients reach Apache Kafka first.
    pub fn bootstrap(&self) -> Option<String> {
        self.kafka.as_ref().map(|kafka| format!("127.0.0.1:{}", kafka.link.port()))
    }

    /// The link of this name, if there is one.
    pub fn link(&self, name: &str) -> Option<&Link> {
        match name {
            "to postgres" => Some(&self.to_postgres),
            "to kafka" => self.kafka.as_ref().map(|kafka| &kafka.link),
            _ => None,
        }
    }

    /// Kills the server, and starts it again on the same data after a while. False if it is none of these.
    pub async fn kill(&self, name: &str, away: Duration) -> anyhow::Result<bool> {
        match (name, &self.kafka) {
            ("postgres", _) => {
                let mut running = self.postgres.lock().await;
                running.take().context("PostgreSQL is not there")?.kill().await?;
                sleep(away).await;
                let start = || Postgres::start_with(&self.postgres_options, &SETTINGS);
                *running = Some(surely(start).await.context("PostgreSQL does not come back")?);
            }
            ("kafka", Some(kafka)) => {
                let mut running = kafka.node.lock().await;
                let mut node = running.take().context("Apache Kafka is not there")?;
                ensure!(node.identity().kill(), "Apache Kafka is not there");
                node.wait().await?;
                drop(node);
                sleep(away).await;
                let start = || Kafka::start_with_properties(&kafka.options, &kafka.properties);
                *running = Some(surely(start).await.context("Apache Kafka does not come back")?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Has the server stand still for a while. False if it is none of these.
    pub async fn freeze(&self, name: &str, lasts: Duration) -> anyhow::Result<bool> {
        let identity = match (name, &self.kafka) {
            ("postgres", _) => self.postgres.lock().await.as_ref().map(|postgres| postgres.identity().clone()),
            ("kafka", Some(kafka)) => kafka.node.lock().await.as_ref().map(|node| node.identity().clone()),
            _ => return Ok(false),
        };
        let identity = identity.context("it is not there")?;
        ensure!(identity.freeze(), "it is not there");
        sleep(lasts).await;
        identity.thaw();
        Ok(true)
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        let patience = Duration::from_secs(20);
        if let Some(kafka) = self.kafka
            && let Some(node) = kafka.node.into_inner()
        {
            node.stop(patience).await?;
        }
        if let Some(postgres) = self.postgres.into_inner() {
            postgres.stop(patience).await?;
        }
        Ok(())
    }
}

/// On a machine that does much else a server may not come back within its time; not again and again.
async fn surely<T>(start: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    for _ in 1..STARTS {
        if let Ok(started) = start().await {
            return Ok(started);
        }
    }
    start().await
}

/// The URL of another database on the same server.
fn database_at(url: &str, name: &str) -> String {
    url.rsplit_once('/').map_or_else(|| url.to_owned(), |(server, _)| format!("{server}/{name}"))
}

impl OwnKafka {
    /// Clients are sent through the link from the first answer on.
    async fn start(folder: &Path) -> anyhow::Result<Self> {
        let port = port::claim(None, "Apache Kafka")?;
        let link = Link::to(port).await?;
        let properties = format!("advertised.listeners=PLAINTEXT://127.0.0.1:{}\n", link.port());
        let options =
            kafka::Options { folder: folder.to_owned(), port: Some(port), durability: Durability::Real, jars: None };
        let node = Kafka::start_with_properties(&options, &properties).await?;
        Ok(Self { node: Mutex::new(Some(node)), options, properties, link })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_is_on_the_same_server_for_the_same_role() {
        let url = database_at("postgres://postgres:secret@127.0.0.1:21000/postgres", "order_svc");
        assert_eq!(url, "postgres://postgres:secret@127.0.0.1:21000/order_svc");
    }
}
