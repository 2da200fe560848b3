//! PostgreSQL and the broker of a run: started and kept alive here, or given.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use quadrille_servers::{Durability, Kafka, Postgres, broker, kafka, postgres};
use service_kit::config::{Reader, vars};
use service_kit::kafka::Brokers;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::embedded::Embedded;
use super::registry::Registry;
use super::supervisor::{Supervised, keep_alive_from};
use crate::cli::{KafkaWish, UpArgs};
use crate::plan::Ports;

/// PostgreSQL's name among the processes of a run.
pub(super) const POSTGRES: &str = "postgres";
/// The broker's name among them.
pub(super) const KAFKA: &str = "kafka";
pub(super) const PATIENCE: Duration = Duration::from_secs(4);

/// Where both are reached, and what keeps them alive.
#[derive(Debug)]
pub(super) struct Servers {
    database_url: String,
    brokers: Brokers,
    embedded: Option<broker::Options>,
    keepers: JoinSet<()>,
    stop: CancellationToken,
}

impl Servers {
    /// Starts what isn't given, both at once: neither needs the other. The embedded broker is only planned.
    pub async fn start(
        arguments: &UpArgs,
        data: &Path,
        ports: &Ports,
        registry: &Arc<Registry>,
    ) -> anyhow::Result<Self> {
        let kafka_wish = &arguments.kafka;
        // set to nothing counts as not set
        let given_postgres = arguments.database_url.clone().filter(|url| !url.is_empty());
        let brokers = match kafka_wish {
            KafkaWish::Given(address) => given_brokers(address)?,
            KafkaWish::Apache | KafkaWish::Embedded => Brokers::from(format!("127.0.0.1:{}", ports.kafka)),
        };
        let postgres =
            postgres::Options { folder: data.join(POSTGRES), port: Some(ports.postgres), durability: Durability::Real };
        let kafka = kafka::Options {
            folder: data.join(KAFKA),
            port: Some(ports.kafka),
            durability: Durability::Real,
            jars: None,
        };
        let (own_postgres, own_kafka) = tokio::try_join!(
            start_if(given_postgres.is_none(), &postgres, registry),
            start_if(*kafka_wish == KafkaWish::Apache, &kafka, registry),
        )?;
        let database_url = own_postgres.as_ref().map(|server| server.url("postgres")).or(given_postgres);
        let embedded = embedded(kafka_wish, data, ports)?;
        let stop = CancellationToken::new();
        let mut keepers = JoinSet::new();
        if let Some(server) = own_postgres {
            keepers.spawn(keep_alive_from(postgres, Some(server), Arc::clone(registry), stop.clone()));
        }
        if let Some(node) = own_kafka {
            keepers.spawn(keep_alive_from(kafka, Some(node), Arc::clone(registry), stop.clone()));
        }
        Ok(Self { database_url: database_url.context("no PostgreSQL")?, brokers, embedded, keepers, stop })
    }

    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    pub fn brokers(&self) -> &Brokers {
        &self.brokers
    }

    /// Whether the broker is the embedded one, which keeps nothing.
    pub fn keeps_no_events(&self) -> bool {
        self.embedded.is_some()
    }

    /// Starts the embedded broker, if that is the one; `lost` is cancelled when it ends by itself.
    pub async fn start_embedded(
        &self,
        registry: &Arc<Registry>,
        lost: CancellationToken,
    ) -> anyhow::Result<Option<Embedded>> {
        let Some(options) = &self.embedded else { return Ok(None) };
        Embedded::start(options, registry, lost).await.map(Some)
    }

    /// Ends those that were started here.
    pub async fn stop(self) {
        self.stop.cancel();
        self.keepers.join_all().await;
    }
}

/// A Kafka that is given is spoken with as the environment says.
fn given_brokers(bootstrap: &str) -> anyhow::Result<Brokers> {
    let reader = Reader::from_env().with(&vars::KAFKA_BOOTSTRAP_SERVERS, bootstrap);
    Ok(reader.whole(Brokers::read)?)
}

fn embedded(wish: &KafkaWish, data: &Path, ports: &Ports) -> anyhow::Result<Option<broker::Options>> {
    if *wish != KafkaWish::Embedded {
        return Ok(None);
    }
    let program = std::env::current_exe().context("where this program is")?;
    Ok(Some(broker::Options { program, log: data.join("logs").join("broker.log"), port: Some(ports.kafka) }))
}

async fn start_if<S: Supervised>(wanted: bool, options: &S, registry: &Registry) -> anyhow::Result<Option<S::Running>> {
    use super::supervisor::Running;
    if !wanted {
        return Ok(None);
    }
    let server = options.start().await?;
    registry.started(options.name(), server.identity());
    Ok(Some(server))
}

impl Supervised for postgres::Options {
    type Running = Postgres;

    fn name(&self) -> &'static str {
        POSTGRES
    }

    async fn start(&self) -> anyhow::Result<Postgres> {
        Postgres::start(self).await
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}

impl Supervised for kafka::Options {
    type Running = Kafka;

    fn name(&self) -> &'static str {
        KAFKA
    }

    async fn start(&self) -> anyhow::Result<Kafka> {
        Kafka::start(self).await
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}
