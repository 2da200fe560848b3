//! One Apache Kafka node (KRaft: broker and controller in one process) on loopback.

mod config;
pub mod connect;
mod jars;
mod java;
mod secured;

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

pub use self::secured::{Secured, SecuredPorts};
use crate::process::{Identity, ServerProcess, rotate_log};
use crate::{Durability, port};

/// How long a start may take; recovering the logs after a crash takes time.
const READY_WITHIN: Duration = Duration::from_secs(90);

#[derive(Debug, Clone)]
pub struct Options {
    /// The folder for all of its files, including the log. No one else may use it: a node that a killed run left
    /// there is stopped.
    pub folder: PathBuf,
    /// The port on 127.0.0.1; a free one if `None`.
    pub port: Option<u16>,
    /// `Tests` starts faster but is slower under load. Kafka itself never waits for the disk.
    pub durability: Durability,
    /// The folder of the jars; `~/.cache/quadrille/kafka-VERSION` if `None`.
    pub jars: Option<PathBuf>,
}

#[derive(Debug)]
pub struct Kafka {
    process: ServerProcess,
    port: u16,
    secured: Option<SecuredPorts>,
}

impl Kafka {
    /// Starts the node, and returns once it answers a metadata request. The first start on a machine fetches the jars;
    /// the first start in a folder formats it. Fails if there is no Java 17 (the error says how to install it), if the
    /// jars can't be fetched or have wrong checksums, if the port is taken, or, with the last lines of the log, if the
    /// node doesn't start.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        Self::start_with(options, None, "").await
    }

    /// Like [`Kafka::start`], with these lines of `server.properties` in place of the node's own of the same name. Whoever gives
    /// it other listeners claims their ports; that of `options` must remain one that asks for no name.
    pub async fn start_with_properties(options: &Options, properties: &str) -> anyhow::Result<Self> {
        Self::start_with(options, None, properties).await
    }

    /// Like [`Kafka::start`], with secured listeners beside the plain one.
    pub async fn start_secured(options: &Options, secured: &Secured) -> anyhow::Result<Self> {
        Self::start_with(options, Some((secured, SecuredPorts::claim()?)), "").await
    }

    async fn start_with(
        options: &Options,
        secured: Option<(&Secured, SecuredPorts)>,
        properties: &str,
    ) -> anyhow::Result<Self> {
        let java = java::find()?;
        let class_path = jars::class_path(options.jars.as_deref()).await?;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&options.folder);
        made.with_context(|| format!("making {}", options.folder.display()))?;
        let folder = fs::canonicalize(&options.folder)?;
        stop_left_over(&folder).await?;
        let port = port::claim(options.port, "Apache Kafka")?;
        let controller_port = port::claim(None, "Apache Kafka's controller")?;
        let files = config::Files::write(&folder, port, controller_port, secured, properties)?;
        if !files.is_formatted() {
            format(&java, &class_path, &files, secured.map(|(secured, _)| secured.scram())).await?;
        }
        let mut command = Command::new(&java);
        command.args([
            "-Xms96m",
            "-Xmx320m",
            "-XX:+UseSerialGC",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
        ]);
        if options.durability == Durability::Tests {
            command.arg("-XX:TieredStopAtLevel=1");
        }
        command.arg(format!("-Dlog4j2.configurationFile=file:{}", files.log4j().display()));
        command.arg("-cp").arg(&class_path).arg("kafka.Kafka").arg(files.server());
        let log = folder.join("kafka.log");
        rotate_log(&log)?;
        let process = ServerProcess::spawn("Apache Kafka", command, &log)?;
        fs::write(pid_file(&folder), process.identity().pid.to_string())?;
        let mut node = Self { process, port, secured: secured.map(|(_, ports)| ports) };
        must_answer(&mut node.process, &format!("127.0.0.1:{port}"), "Kafka", READY_WITHIN).await?;
        Ok(node)
    }

    /// The value for clients' `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The ports of the secured listeners, if the node has them.
    pub fn secured(&self) -> Option<SecuredPorts> {
        self.secured
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn identity(&self) -> &Identity {
        self.process.identity()
    }

    pub fn log(&self) -> &Path {
        self.process.log()
    }

    pub async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Stops it with SIGTERM, and after `patience` with SIGKILL.
    pub async fn stop(self, patience: Duration) -> anyhow::Result<()> {
        self.process.stop(Signal::SIGTERM, patience, Signal::SIGKILL).await
    }
}

/// Waits until a broker that was just started answers. Fails, with the last lines of its log, if it ends or doesn't
/// answer in time.
pub(crate) async fn must_answer(
    process: &mut ServerProcess,
    bootstrap: &str,
    who: &str,
    within: Duration,
) -> anyhow::Result<()> {
    let until = Instant::now() + within;
    loop {
        process.must_live()?;
        let Err(error) = answers(bootstrap, Duration::from_secs(2)).await else { return Ok(()) };
        if Instant::now() >= until {
            bail!("{who} didn't answer within {within:?} ({error:#}){}", process.last_words());
        }
        sleep(Duration::from_millis(50)).await;
    }
}

pub fn version() -> anyhow::Result<String> {
    jars::version()
}

/// Asks a broker for its metadata, once. Fails if no broker answers within `patience`.
pub async fn answers(bootstrap: &str, patience: Duration) -> anyhow::Result<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("log_level", "0").set("reconnect.backoff.max.ms", "500");
    let brokers = tokio::task::spawn_blocking(move || -> anyhow::Result<usize> {
        let client: BaseConsumer = config.create()?;
        Ok(client.fetch_metadata(None, patience)?.brokers().len())
    })
    .await??;
    if brokers == 0 { bail!("no broker is in the cluster at {bootstrap} yet") } else { Ok(()) }
}

async fn format(java: &Path, class_path: &str, files: &config::Files, scram: Option<String>) -> anyhow::Result<()> {
    let output = Command::new(java)
        .args(["-Xmx64m", "-XX:TieredStopAtLevel=1", "-cp", class_path, "kafka.tools.StorageTool", "format"])
        .args(["--ignore-formatted", "--cluster-id", config::CLUSTER_ID, "--config"])
        .arg(files.server())
        .args(scram.into_iter().flat_map(|user| ["--add-scram".to_owned(), user]))
        .output()
        .await
        .context("running Kafka's StorageTool")?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("formatting Kafka's folder failed ({}):\n{}", output.status, String::from_utf8_lossy(&said));
    }
    Ok(())
}

fn pid_file(folder: &Path) -> PathBuf {
    folder.join("kafka.pid")
}

/// Stops a node of a killed run that still serves this folder.
async fn stop_left_over(folder: &Path) -> anyhow::Result<()> {
    let Ok(text) = fs::read_to_string(pid_file(folder)) else { return Ok(()) };
    let ours = text.trim().parse().ok().and_then(Identity::of).filter(|found| {
        let command = found.command_line();
        command.contains("kafka.Kafka") && command.contains(&*folder.to_string_lossy())
    });
    if let Some(node) = ours {
        tracing::info!(pid = node.pid, "stopping a Kafka that a killed run left behind");
        node.end(Signal::SIGTERM, Duration::from_secs(10), Signal::SIGKILL).await;
        if node.is_alive() {
            bail!("the Kafka with pid {} still serves {} and doesn't end", node.pid, folder.display());
        }
    }
    Ok(())
}
