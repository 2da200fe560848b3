//! Another program that speaks Kafka's protocol, as a child: a broker that keeps nothing.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::Context;
use nix::sys::signal::Signal;
use tokio::process::Command;

use crate::{
    kafka, port,
    process::{Identity, ServerProcess, rotate_log},
};

const NAME: &str = "the embedded broker";
/// It has nothing to recover; a debug build on a busy machine still needs a moment.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program. It is told `broker --port PORT`, and listens on 127.0.0.1.
    pub program: PathBuf,
    /// Where its output goes.
    pub log: PathBuf,
    /// The port on 127.0.0.1 that clients use; a free one when `None`.
    pub port: Option<u16>,
}

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    process: ServerProcess,
    port: u16,
}

impl Broker {
    /// Starts it and returns once it answers a metadata request.
    ///
    /// # Errors
    /// For a taken port, and with the last lines of the log when it doesn't start.
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

    /// What clients take as `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Who it is, for a file that a later run reads.
    pub fn identity(&self) -> &Identity {
        self.process.identity()
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Ends it in order, after `patience` the hard way.
    pub async fn stop(self, patience: Duration) -> anyhow::Result<()> {
        self.process.stop(Signal::SIGTERM, patience, Signal::SIGKILL).await
    }
}
