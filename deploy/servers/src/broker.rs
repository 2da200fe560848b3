//! A child process that speaks Kafka's protocol but isn't Apache Kafka, and that stores nothing.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::Signal;
use tokio::process::Command;

use crate::process::{Identity, ServerProcess, rotate_log};
use crate::{kafka, port};

const NAME: &str = "the embedded broker";
/// It has nothing to recover, but a debug build on a busy machine needs a moment.
const READY_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct Options {
    /// The program. It is started with `broker --port PORT`, and must listen on 127.0.0.1.
    pub program: PathBuf,
    /// The file for its output.
    pub log: PathBuf,
    /// The port on 127.0.0.1; a free one if `None`.
    pub port: Option<u16>,
}

#[derive(Debug)]
pub struct Broker {
    process: ServerProcess,
    port: u16,
}

impl Broker {
    /// Starts it, and returns once it answers a metadata request. Fails if the port is taken, or, with the last lines
    /// of the log, if the broker doesn't start.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let port = port::claim(options.port, NAME)?;
        if let Some(folder) = options.log.parent() {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.with_context(|| format!("making {}", folder.display()))?;
        }
        rotate_log(&options.log)?;
        let mut command = Command::new(&options.program);
        command.args(["broker", "--port", &port.to_string()]);
        let process = ServerProcess::spawn(NAME, command, &options.log)?;
        let mut broker = Self { process, port };
        let bootstrap = broker.bootstrap();
        kafka::must_answer(&mut broker.process, &bootstrap, NAME, READY_WITHIN).await?;
        Ok(broker)
    }

    /// The value for clients' `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
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
