//! PostgreSQL and Kafka of a run: started and kept alive here, or given.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use quadrille_servers::{Durability, Kafka, Postgres, kafka, postgres};
use service_kit::{
    config::{Reader, vars},
    kafka::Brokers,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    registry::Registry,
    supervisor::{Supervised, keep_alive_from},
};
use crate::{cli::UpArgs, plan::Ports};

/// PostgreSQL's name among the processes of a run.
pub(super) const POSTGRES: &str = "postgres";
const KAFKA: &str = "kafka";
const PATIENCE: Duration = Duration::from_secs(4);

/// Where both are reached, and what keeps them alive.
#[derive(Debug)]
pub(super) struct Servers {
    database_url: String,
    brokers: Brokers,
    keepers: JoinSet<()>,
    stop: CancellationToken,
}

impl Servers {
    /// Starts what isn't given. Both at once: neither needs the other.
    pub async fn start(
        arguments: &UpArgs,
        data: &Path,
        ports: &Ports,
        registry: &Arc<Registry>,
    ) -> anyhow::Result<Self> {
        // set to nothing counts as not set
        let set = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let (given_postgres, given) = (set(&arguments.database_url), given_brokers(set(&arguments.kafka))?);
        let postgres =
            postgres::Options { folder: data.join(POSTGRES), port: Some(ports.postgres), durability: Durability::Real };
        let kafka = kafka::Options {
            folder: data.join(KAFKA),
            port: Some(ports.kafka),
            durability: Durability::Real,
            jars: None,
        };
        let (own_postgres, own_kafka) = tokio::try_join!(
            start_unless(given_postgres.is_some(), &postgres, registry),
            start_unless(given.is_some(), &kafka, registry),
        )?;
        let database_url = own_postgres.as_ref().map(|server| server.url("postgres")).or(given_postgres);
        let brokers = own_kafka.as_ref().map(|node| Brokers::from(node.bootstrap())).or(given);
        let stop = CancellationToken::new();
        let mut keepers = JoinSet::new();
        if let Some(server) = own_postgres {
            keepers.spawn(keep_alive_from(postgres, Some(server), Arc::clone(registry), stop.clone()));
        }
        if let Some(node) = own_kafka {
            keepers.spawn(keep_alive_from(kafka, Some(node), Arc::clone(registry), stop.clone()));
        }
        Ok(Self {
            database_url: database_url.context("no PostgreSQL")?,
            brokers: brokers.context("no Kafka")?,
            keepers,
            stop,
        })
    }

    /// The administrator's URL of PostgreSQL.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Where Kafka is, and how one speaks with it.
    pub fn brokers(&self) -> &Brokers {
        &self.brokers
    }

    /// Ends those that were started here.
    pub async fn stop(self) {
        self.stop.cancel();
        self.keepers.join_all().await;
    }
}

/// A Kafka that is given is spoken with as the environment says.
fn given_brokers(bootstrap: Option<String>) -> anyhow::Result<Option<Brokers>> {
    let Some(bootstrap) = bootstrap else { return Ok(None) };
    let reader = Reader::from_env().with(&vars::KAFKA_BOOTSTRAP_SERVERS, bootstrap);
    Ok(Some(reader.whole(Brokers::read)?))
}

async fn start_unless<S: Supervised>(
    given: bool,
    options: &S,
    registry: &Registry,
) -> anyhow::Result<Option<S::Running>> {
    use super::supervisor::Running;
    if given {
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
