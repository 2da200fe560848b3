//! Keeps `addresses.json` true while children come and go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use quadrille_servers::process::Identity;

use crate::addresses::{Addresses, ServiceAddress};
use crate::plan::Plan;

/// What the file says, and where it is.
#[derive(Debug)]
pub(super) struct Registry {
    data: PathBuf,
    addresses: Mutex<Addresses>,
}

impl Registry {
    pub fn new(data: &Path) -> std::sync::Arc<Self> {
        let pid = i32::try_from(std::process::id()).unwrap_or_default();
        let runner = Identity::of(pid).unwrap_or(Identity { pid, started: String::new() });
        let addresses = Addresses {
            runner,
            services: BTreeMap::new(),
            postgres: String::new(),
            kafka: String::new(),
            audit: String::new(),
            mails: data.join("mails"),
            logs: data.join("logs"),
            processes: BTreeMap::new(),
        };
        std::sync::Arc::new(Self { data: data.to_owned(), addresses: Mutex::new(addresses) })
    }

    /// Says where everything listens, before the services are there.
    pub fn announce(&self, plan: &Plan, logs: &Path) -> anyhow::Result<()> {
        let mut addresses = self.locked();
        addresses.postgres = plan.postgres.to_string();
        addresses.kafka.clone_from(&plan.kafka.bootstrap);
        addresses.audit = plan.audit_url();
        addresses.mails.clone_from(&plan.mails);
        logs.clone_into(&mut addresses.logs);
        addresses.services = plan
            .services()
            .into_iter()
            .map(|service| {
                let address = ServiceAddress { url: plan.url(service), database: plan.database_url(service) };
                (service.name().to_owned(), address)
            })
            .collect();
        addresses.write(&self.data).context("addresses.json")
    }

    /// A child was started. A file that can't be written is worth a warning, not the shop.
    pub fn started(&self, name: &str, identity: &Identity) {
        let mut addresses = self.locked();
        addresses.processes.insert(name.to_owned(), identity.clone());
        self.save(&addresses);
    }

    pub fn ended(&self, name: &str) {
        let mut addresses = self.locked();
        addresses.processes.remove(name);
        self.save(&addresses);
    }

    /// The run ends in order: nothing listens any more.
    pub fn close(&self) {
        std::fs::remove_file(Addresses::file(&self.data)).ok();
    }

    fn save(&self, addresses: &Addresses) {
        if let Err(error) = addresses.write(&self.data) {
            tracing::warn!("{error:#}");
        }
    }

    fn locked(&self) -> MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
