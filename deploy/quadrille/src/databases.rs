//! The services' databases that the tools look into: which ones.

use std::str::FromStr;

use clap::{Args, ValueEnum};

use service_kit::pool;

use crate::{addresses::Addresses, service::Service};

/// Databases that aren't the local run's.
#[derive(Debug, Clone, Args)]
pub struct DatabasesArgs {
    /// A service's database where it isn't the local run's; several with commas between, or the option several times.
    #[arg(
        long = "database",
        env = "QUADRILLE_DATABASES",
        value_name = "SERVICE=URL",
        hide_env_values = true,
        global = true
    )]
    given: Vec<Given>,
}

/// `order-svc=postgres://...`, several with commas between.
#[derive(Debug, Clone)]
struct Given(Vec<Database>);

#[derive(Debug, Clone)]
struct Database {
    service: Service,
    url: String,
}

impl FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        pool::list(text).iter().map(|one| Database::from_str(one)).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Database {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, url) = text.split_once('=').ok_or("not SERVICE=URL, like order-svc=postgres://...")?;
        let service = Service::from_str(service, false)?;
        pool::check(url).map_err(|why| format!("the URL of {} is refused: {why}", service.name()))?;
        Ok(Self { service, url: url.to_owned() })
    }
}

impl DatabasesArgs {
    /// The URL of a service's database: the one that is given, or that of the local run. Fails if there is neither.
    pub fn url_of(
        &self,
        service: Service,
        local: Option<&Addresses>,
        data: &std::path::Path,
    ) -> anyhow::Result<String> {
        if let Some(given) = self.given.iter().flat_map(|given| &given.0).find(|given| given.service == service) {
            return Ok(given.url.clone());
        }
        let (name, data) = (service.name(), data.display());
        let Some(local) = local else {
            anyhow::bail!("no shop runs in {data}; start it, or give --database {name}=URL");
        };
        let found = local.services.get(name).and_then(|address| address.database.clone());
        found.ok_or_else(|| anyhow::anyhow!("{name} has no database in the shop in {data}; give --database {name}=URL"))
    }
}
