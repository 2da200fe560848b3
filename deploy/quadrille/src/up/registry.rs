//! Keeps `addresses.json` true while children come and go, and has what somebody wants of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use quadrille_servers::process::Identity;

use super::parts::{Part, PartTold, Switch, Unswitched};
use crate::addresses::{Addresses, ServiceAddress};
use crate::plan::Plan;

/// What the file says, and where it is.
#[derive(Debug)]
pub(super) struct Registry {
    data: PathBuf,
    addresses: Mutex<Addresses>,
    parts: Mutex<BTreeMap<&'static str, Arc<Part>>>,
}

impl Registry {
    pub fn new(data: &Path) -> Arc<Self> {
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
        Arc::new(Self { data: data.to_owned(), addresses: Mutex::new(addresses), parts: Mutex::default() })
    }

    /// Says where everything listens, before the services are there.
    pub fn announce(&self, plan: &Plan, logs: &Path) -> anyhow::Result<()> {
        let mut addresses = self.locked();
        addresses.postgres = plan.postgres.clone();
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

    /// A part of the run: one that was known stays as somebody wanted it.
    pub fn part(&self, name: &'static str, switches: &'static [Switch]) -> Arc<Part> {
        Arc::clone(self.parts().entry(name).or_insert_with(|| Arc::new(Part::new(name, switches))))
    }

    /// Every part as it is.
    pub fn told(&self) -> Vec<PartTold> {
        let parts: Vec<_> = self.parts().iter().map(|(name, part)| (*name, Arc::clone(part))).collect();
        parts.iter().map(|(name, part)| part.told(self.process(name).as_ref())).collect()
    }

    /// Switches a part; nothing if there is none of that name. Returns how often it was switched by then.
    pub fn switch(&self, name: &str, switch: Switch) -> Option<Result<u64, Unswitched>> {
        let part = self.known(name)?;
        Some(part.switch(switch, self.process(name).as_ref()))
    }

    /// Ends what a switch has done, unless the part was switched again since then.
    pub fn undo(&self, name: &str, switch: Switch, presses: u64) {
        if let Some(part) = self.known(name) {
            part.undo(switch, presses, self.process(name).as_ref());
        }
    }

    fn known(&self, name: &str) -> Option<Arc<Part>> {
        self.parts().get(name).cloned()
    }

    fn process(&self, name: &str) -> Option<Identity> {
        self.locked().processes.get(name).cloned()
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<&'static str, Arc<Part>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
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
