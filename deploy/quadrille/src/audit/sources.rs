//! Where the evidence is.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::bail;
use clap::Args;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    addresses::Addresses, api::Api, cluster::Cluster, cluster::ClusterArgs, databases::DatabasesArgs, service::Service,
};

/// The gateway answers from its database.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(15);

/// Which shop is meant: the local run's, where nothing else is said.
#[derive(Debug, Clone, Args)]
pub struct SourceArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    databases: DatabasesArgs,
    /// The sandbox gateway's address, for its journal, where it isn't the local run's.
    #[arg(long, env = "SANDBOX_URL", value_name = "URL")]
    gateway: Option<String>,
    /// order-svc's address, where it isn't the local run's.
    #[arg(long, env = "ORDER_URL", value_name = "URL")]
    orders: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Sources {
    pub(crate) cluster: Cluster,
    /// Where each database is, or why that isn't known.
    databases: BTreeMap<Service, Result<String, String>>,
    pub(super) gateway: Option<String>,
    orders: Option<String>,
}

impl SourceArgs {
    /// Fails if no shop runs here and it isn't said where one does.
    pub fn sources(&self) -> anyhow::Result<Sources> {
        let data: &PathBuf = self.cluster.data();
        let local = Addresses::read(data)?;
        let databases = Service::WITH_OUTBOX
            .into_iter()
            .map(|service| {
                let url = self.databases.url_of(service, local.as_ref(), data);
                (service, url.map_err(|error| format!("{error:#}")))
            })
            .collect();
        let own = |service: Service| Some(local.as_ref()?.services.get(service.name())?.url.clone());
        let gateway = self.gateway.clone().or_else(|| own(Service::SandboxGateway));
        let orders = self.orders.clone().or_else(|| own(Service::OrderSvc));
        Ok(Sources { cluster: self.cluster.cluster()?, databases, gateway, orders })
    }
}

impl Sources {
    pub fn of_run(cluster: Cluster, databases: BTreeMap<Service, String>, gateway: String) -> Self {
        let databases = databases.into_iter().map(|(service, url)| (service, Ok(url))).collect();
        Self { cluster, databases, gateway: Some(gateway), orders: None }
    }

    pub(crate) fn database(&self, service: Service) -> anyhow::Result<&str> {
        match self.databases.get(&service) {
            Some(Ok(url)) => Ok(url),
            Some(Err(why)) => bail!("{why}"),
            None => bail!("no database of {}", service.name()),
        }
    }

    /// The order as order-svc shows it; nothing where it doesn't answer.
    pub(crate) async fn order(&self, id: Uuid) -> Option<Value> {
        let service = Service::OrderSvc;
        let api = Api::new(BTreeMap::from([(service.name().to_owned(), self.orders.clone()?)]), ANSWERS_WITHIN).ok()?;
        api.order(&id.to_string()).await.ok()
    }
}
