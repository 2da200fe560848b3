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
    /// The sandbox issuer's address, where the shop asks for tokens and isn't the local run's.
    #[arg(long, env = "AUTH_ISSUER", value_name = "URL")]
    issuer: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Sources {
    pub(crate) cluster: Cluster,
    /// Where each database is, or why that isn't known.
    databases: BTreeMap<Service, Result<String, String>>,
    pub(crate) gateway: Option<String>,
    orders: Option<String>,
    /// Where the services of a local run answer.
    urls: BTreeMap<Service, String>,
    /// Who gives tokens, where the shop asks for them.
    issuer: Option<String>,
}

impl SourceArgs {
    /// The data folder of the local run.
    pub(crate) fn data(&self) -> &PathBuf {
        self.cluster.data()
    }

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
        let issuer = self.issuer.clone().or_else(|| own(Service::SandboxIssuer));
        let urls = Service::WITH_OUTBOX.into_iter().filter_map(|service| Some((service, own(service)?)));
        let mut urls: BTreeMap<_, _> = urls.collect();
        urls.extend(orders.clone().map(|url| (Service::OrderSvc, url)));
        Ok(Sources { cluster: self.cluster.cluster()?, databases, gateway, orders, urls, issuer })
    }
}

impl Sources {
    pub fn of_run(cluster: Cluster, databases: BTreeMap<Service, String>, gateway: String) -> Self {
        let databases = databases.into_iter().map(|(service, url)| (service, Ok(url))).collect();
        let urls = BTreeMap::new();
        Self { cluster, databases, gateway: Some(gateway), orders: None, urls, issuer: None }
    }

    /// The same, with where each service answers.
    #[must_use]
    pub fn with_urls(self, urls: BTreeMap<Service, String>) -> Self {
        Self { urls, ..self }
    }

    /// Where a service answers, if that is known.
    pub(crate) fn url(&self, service: Service) -> Option<&str> {
        self.urls.get(&service).map(String::as_str)
    }

    pub(crate) fn database(&self, service: Service) -> anyhow::Result<&str> {
        match self.databases.get(&service) {
            Some(Ok(url)) => Ok(url),
            Some(Err(why)) => bail!("{why}"),
            None => bail!("no database of {}", service.name()),
        }
    }

    /// Where order-svc answers.
    pub(crate) fn orders(&self) -> Option<&str> {
        self.orders.as_deref()
    }

    /// The sandbox issuer of a local run that asks for tokens.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// The order as order-svc shows it; nothing where it doesn't answer.
    pub(crate) async fn order(&self, id: Uuid) -> Option<Value> {
        let known = [(Service::OrderSvc, Some(self.orders.clone()?)), (Service::SandboxIssuer, self.issuer.clone())];
        let urls = known.into_iter().filter_map(|(service, url)| Some((service.name().to_owned(), url?)));
        let api = Api::new(urls.collect(), ANSWERS_WITHIN).ok()?;
        api.order(&id.to_string()).await.ok()
    }
}
