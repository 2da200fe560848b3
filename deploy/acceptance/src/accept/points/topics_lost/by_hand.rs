//! Programs that are started beside `quadrille up`, as an operator would.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use quadrille::{addresses::Addresses, service::Service};
use quadrille_servers::process::ServerProcess;
use tokio::process::Command;

use crate::shop::Shop;

const ARCHIVE: (&str, &str) = ("OUTBOX_RELAY_ARCHIVE", "1d");

/// Where the programs are, and where everything listens.
pub(super) struct ByHand {
    quadrille: PathBuf,
    outbox_relay: PathBuf,
    addresses: Addresses,
}

impl ByHand {
    pub fn new(quadrille: &Path, shop: &Shop) -> anyhow::Result<Self> {
        let outbox_relay = quadrille.with_file_name("outbox-relay");
        let built = outbox_relay.display();
        ensure!(outbox_relay.exists(), "{built} is not there: build it (cargo build -p outbox-relay)");
        Ok(Self { quadrille: quadrille.to_owned(), outbox_relay, addresses: shop.addresses()? })
    }

    /// A service that the shop was started without, its archive on.
    pub fn service(&self, service: Service, relay: &str) -> anyhow::Result<ServerProcess> {
        let mut command = Command::new(&self.quadrille);
        command.args(["run", service.name()]).env("HTTP_ADDR", self.listens(service)?).env("AUTH", "off");
        command.env("DATABASE_URL", self.database(service)?).env("KAFKA_BOOTSTRAP_SERVERS", &self.addresses.kafka);
        command.env("GROUP_INSTANCE_ID", format!("{}-0", service.name())).env("RELAY", relay).env(ARCHIVE.0, ARCHIVE.1);
        ServerProcess::spawn(service.name(), command, &self.log(service))
    }

    /// The relay of order-svc's database, its archive on.
    pub fn relay(&self) -> anyhow::Result<ServerProcess> {
        let mut command = self.worker(&[Service::OrderSvc])?;
        command.env("METRICS_ADDR", self.listens(Service::OutboxRelay)?).env(ARCHIVE.0, ARCHIVE.1);
        ServerProcess::spawn("outbox-relay", command, &self.log(Service::OutboxRelay))
    }

    /// Sends a topic again, after a look at what there is: as many rows as are `wanted`.
    pub async fn republish(&self, service: Service, topic: &str, wanted: usize) -> anyhow::Result<()> {
        let database = service.database().context("a service that writes a topic has a database")?;
        let command = ["republish", "--topic", topic, "--database", database];
        let mut look = self.worker(&Service::WITH_OUTBOX)?;
        let seen = said(look.args(command).arg("--dry-run")).await?;
        ensure!(seen.contains(&format!("{topic}: {wanted} rows of ")), "{wanted} rows were expected: {seen}");
        let sent = said(self.worker(&Service::WITH_OUTBOX)?.args(command)).await?;
        ensure!(
            sent.contains(&format!("{wanted} rows of {topic} are sent again")),
            "{wanted} rows were expected: {sent}"
        );
        Ok(())
    }

    /// Makes the shop's topics that are not there, which must be these.
    pub async fn create_topics(&self, missing: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(&self.quadrille);
        let made = said(command.args(["topics", "create", "--bootstrap", &self.addresses.kafka])).await?;
        let created: Vec<_> = made.lines().filter_map(|line| line.strip_prefix("created ")).collect();
        ensure!(created == missing, "{missing:?} should have been created: {made}");
        Ok(())
    }

    pub fn database(&self, service: Service) -> anyhow::Result<String> {
        let address = self.addresses.services.get(service.name());
        address
            .and_then(|address| address.database.clone())
            .with_context(|| format!("{} has no database", service.name()))
    }

    fn worker(&self, services: &[Service]) -> anyhow::Result<Command> {
        let databases: Vec<_> =
            services.iter().map(|service| self.database(*service)).collect::<anyhow::Result<_>>()?;
        let mut command = Command::new(&self.outbox_relay);
        command
            .env("OUTBOX_RELAY_DATABASES", databases.join(","))
            .env("KAFKA_BOOTSTRAP_SERVERS", &self.addresses.kafka);
        Ok(command)
    }

    fn listens(&self, service: Service) -> anyhow::Result<&str> {
        let address = self.addresses.services.get(service.name()).context("every service has an address")?;
        address.url.strip_prefix("http://").with_context(|| format!("{} is not an address", address.url))
    }

    fn log(&self, service: Service) -> PathBuf {
        self.addresses.logs.join(format!("{}.log", service.name()))
    }
}

/// Runs a tool to its end; what it said, which must be no complaint.
async fn said(command: &mut Command) -> anyhow::Result<String> {
    let ended = command.kill_on_drop(true).output().await.with_context(|| format!("starting {command:?}"))?;
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    ensure!(ended.status.success(), "ended with {}: {out}{err}", ended.status);
    Ok(out.into_owned())
}
