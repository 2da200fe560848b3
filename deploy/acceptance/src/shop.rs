//! A running `quadrille up`, started, killed and stopped as a person would.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quadrille::addresses::Addresses;
use quadrille::api::{Api, OrderDraft, TEA};
use quadrille::service::Service;
use quadrille_servers::process::Identity;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// A debug build on a busy machine, with data to recover.
const OPEN_WITHIN: Duration = Duration::from_secs(240);
/// How long any request may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);
/// What a shop has for draining, and a little for the process to go.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

pub struct Shop {
    child: Child,
    binary: PathBuf,
    data: PathBuf,
    always: Vec<String>,
    arguments: Vec<String>,
    pub api: Api,
}

impl Shop {
    /// Starts `binary`, the program `quadrille`, with its data in `folder`/shop, and waits until every service that
    /// isn't left out is ready. The arguments are kept for each later start. Fails if it ends, or isn't open in time.
    pub async fn start(binary: &Path, folder: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let child = spawn(binary, folder, &arguments)?;
        let data = folder.join("shop");
        let binary = binary.to_owned();
        let mut shop = Self { child, binary, data, always: arguments.clone(), arguments, api: Api::default() };
        shop.wait_until_open().await?;
        Ok(shop)
    }

    /// What its `addresses.json` says now.
    pub fn addresses(&self) -> anyhow::Result<Addresses> {
        Addresses::read(&self.data)?.context("addresses.json is gone")
    }

    /// Whether its broker is the one in this program.
    pub fn is_on_the_embedded_broker(&self) -> bool {
        !self.always.iter().any(|argument| argument == "--kafka")
    }

    /// A process of it. Fails if it isn't on record.
    pub fn process(&self, name: &str) -> anyhow::Result<Identity> {
        self.addresses()?.processes.remove(name).with_context(|| format!("{name} isn't running"))
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// SIGKILL for one process; the run starts it again.
    pub fn kill(&self, name: &str) -> anyhow::Result<Identity> {
        let process = self.process(name)?;
        if !process.signal(Signal::SIGKILL) {
            bail!("{name} was dead already");
        }
        Ok(process)
    }

    /// SIGKILL for everything at once: the runner, the services, Kafka and PostgreSQL. Returns how many there were.
    pub async fn kill_everything(&mut self) -> anyhow::Result<usize> {
        let addresses = self.addresses()?;
        // the runner first, or it would begin to start the others again
        addresses.runner.signal(Signal::SIGKILL);
        for process in addresses.processes.values() {
            process.signal(Signal::SIGKILL);
        }
        self.child.wait().await?;
        Ok(addresses.processes.len() + 1)
    }

    /// Starts it again on the same data, with these arguments more.
    pub async fn start_again(&mut self, arguments: &[&str]) -> anyhow::Result<()> {
        let more = arguments.iter().map(|argument| (*argument).to_owned());
        self.arguments = self.always.iter().cloned().chain(more).collect();
        self.child = spawn(&self.binary, self.data.parent().context("the shop's folder is in ours")?, &self.arguments)?;
        self.wait_until_open().await
    }

    /// Ctrl-C. Returns how long it took to end; fails if that is more than 20 seconds, or it says that something went
    /// wrong.
    pub async fn stop(&mut self) -> anyhow::Result<Duration> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).context("the shop has ended by itself")?;
        let began = Instant::now();
        kill(Pid::from_raw(pid), Signal::SIGINT)?;
        let status = timeout(STOPS_WITHIN, self.child.wait()).await.context("not ended 20 s after Ctrl-C")??;
        if !status.success() {
            bail!("after Ctrl-C it ended with {status}");
        }
        Ok(began.elapsed())
    }

    /// SIGKILL for the runner alone; its children live on.
    pub async fn kill_runner(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("killing the runner")
    }

    /// Places an order of the catalogue's tea and waits until it is confirmed; returns its id.
    pub async fn confirm_an_order(&self) -> anyhow::Result<String> {
        let order = self.api.place(&OrderDraft::default()).await?;
        self.api.wait_for(&order, "confirmed").await?;
        Ok(order)
    }

    /// Fails unless the order, which was placed before, is still there.
    pub async fn must_know(&self, order: &str) -> anyhow::Result<()> {
        self.api.order(order).await.map(|_| ())
    }

    fn is_left_out(&self, service: Service) -> bool {
        self.arguments.iter().any(|argument| argument == service.name())
    }

    /// Waits until every service that isn't left out is ready. Fails if the shop ends, or isn't open in time.
    pub async fn wait_until_open(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + OPEN_WITHIN;
        let mut last = anyhow::anyhow!("no addresses yet");
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "`quadrille up` ended with {status}; its output is in {}",
                    self.data.with_file_name("up.log").display()
                );
            }
            match self.is_open().await {
                Ok(api) => {
                    self.api = api;
                    return Ok(());
                }
                Err(error) => last = error,
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!(
            "not open after {OPEN_WITHIN:?}: {last:#}; its output is in {}",
            self.data.with_file_name("up.log").display()
        )
    }

    async fn is_open(&self) -> anyhow::Result<Api> {
        let addresses = self.addresses()?;
        if Some(addresses.runner.pid) != self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            bail!("addresses.json is an earlier run's");
        }
        let urls = addresses.services.into_iter().map(|(name, address)| (name, address.url)).collect();
        let api = Api::new(urls, ANSWERS_WITHIN)?;
        for service in Service::ALL.into_iter().filter(|service| !self.is_left_out(*service)) {
            api.must_be_ready(service).await?;
        }
        if self.is_left_out(Service::StockSvc) || self.is_left_out(Service::OrderSvc) {
            return Ok(api); // the catalogue comes with them
        }
        api.product(TEA).await.context("the catalogue isn't there yet")?;
        // stock-svc answers for a product before order-svc has heard of it
        if api.is_unknown_to_orders(TEA).await? {
            bail!("order-svc has not heard of the catalogue yet");
        }
        Ok(api)
    }
}

impl Drop for Shop {
    /// A point that gave up must not leave a shop behind: its processes are killed, the runner first.
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        self.child.start_kill().ok();
        if let Ok(addresses) = self.addresses() {
            for process in addresses.processes.values() {
                process.signal(Signal::SIGKILL);
            }
        }
    }
}

fn spawn(binary: &Path, folder: &Path, arguments: &[String]) -> anyhow::Result<Child> {
    let log = File::options().create(true).append(true).open(folder.join("up.log"))?;
    let mut command = Command::new(binary);
    command.args(["up", "--free-ports", "--quiet", "--data"]).arg(folder.join("shop")).args(arguments);
    // what the caller's environment says about databases and brokers isn't meant for a fresh shop
    command.env_remove("DATABASE_URL").env_remove("KAFKA_BOOTSTRAP_SERVERS");
    // in a group of its own: Ctrl-C ends us, and our end ends it in order
    command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("starting {}", binary.display()))
}
