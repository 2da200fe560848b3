//! Runs a command with a PostgreSQL and a Kafka of its own: `with-servers -- cargo test --workspace`.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quadrille_servers::{Broker, Durability, Kafka, Postgres, broker, kafka, postgres};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Starts PostgreSQL and Apache Kafka (or another broker) on free ports of 127.0.0.1, in a folder for this run, and
/// stops them afterwards. The command finds them in TEST_DATABASE_URL (with a superuser) and TEST_KAFKA_BOOTSTRAP.
#[derive(Debug, Parser)]
#[command(name = "with-servers")]
struct Arguments {
    /// Use fsync, as in production; without it the servers are quicker.
    #[arg(long)]
    durable: bool,
    /// Start this program, with `broker --port PORT`, instead of Apache Kafka.
    #[arg(long, value_name = "PROGRAM")]
    broker: Option<PathBuf>,
    /// Write both variables to this file and stay until a signal, instead of running a command.
    #[arg(long, value_name = "FILE", required_unless_present = "command", conflicts_with = "command")]
    keep: Option<PathBuf>,
    /// The command to run; its exit code becomes the program's own.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let folder =
        std::env::temp_dir().join(format!("quadrille-servers-{}-{:08x}", std::process::id(), rand::random::<u32>()));
    fs::DirBuilder::new().mode(0o711).create(&folder).with_context(|| format!("making {}", folder.display()))?;
    // The umask may have removed permissions that PostgreSQL's user needs.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o711))?;
    let outcome = run(&arguments, &folder).await;
    fs::remove_dir_all(&folder).ok();
    outcome
}

async fn run(arguments: &Arguments, folder: &Path) -> anyhow::Result<ExitCode> {
    // This comes first, so that a signal that arrives while the servers start doesn't leave them behind.
    let mut signals = Signals::listen()?;
    let durability = if arguments.durable { Durability::Real } else { Durability::Tests };
    let started = tokio::select! {
        started = start(folder, durability, arguments.broker.as_deref()) => started,
        _ = signals.next() => return Ok(ExitCode::FAILURE),
    };
    let (postgres, kafka) = started?;
    let variables = [("TEST_DATABASE_URL", postgres.url("postgres")), ("TEST_KAFKA_BOOTSTRAP", kafka.bootstrap())];
    let outcome = match &arguments.keep {
        Some(file) => keep(file, &variables, &mut signals).await,
        None => run_command(&arguments.command, variables, &mut signals).await,
    };
    let elsewhere = (!postgres.folder().starts_with(folder)).then(|| postgres.folder().to_owned());
    let (kafka_stopped, postgres_stopped) = tokio::join!(kafka.stop(STOP_PATIENCE), postgres.stop(STOP_PATIENCE));
    if let Some(elsewhere) = elsewhere {
        fs::remove_dir_all(elsewhere).ok();
    }
    kafka_stopped.and(postgres_stopped)?;
    outcome
}

async fn start(folder: &Path, durability: Durability, broker: Option<&Path>) -> anyhow::Result<(Postgres, AnyBroker)> {
    let postgres = postgres::Options { folder: folder.join("postgres"), port: None, durability };
    tokio::try_join!(Postgres::start(&postgres), AnyBroker::start(folder, durability, broker))
}

enum AnyBroker {
    Apache(Kafka),
    Other(Broker),
}

impl AnyBroker {
    async fn start(folder: &Path, durability: Durability, program: Option<&Path>) -> anyhow::Result<Self> {
        let Some(program) = program else {
            let options = kafka::Options { folder: folder.join("kafka"), port: None, durability, jars: None };
            return Ok(Self::Apache(Kafka::start(&options).await?));
        };
        let program = fs::canonicalize(program).with_context(|| format!("--broker {}", program.display()))?;
        let options = broker::Options { program, log: folder.join("broker.log"), port: None };
        Ok(Self::Other(Broker::start(&options).await?))
    }

    fn bootstrap(&self) -> String {
        match self {
            Self::Apache(node) => node.bootstrap(),
            Self::Other(broker) => broker.bootstrap(),
        }
    }

    async fn stop(self, patience: Duration) -> anyhow::Result<()> {
        match self {
            Self::Apache(node) => node.stop(patience).await,
            Self::Other(broker) => broker.stop(patience).await,
        }
    }
}

async fn keep(file: &Path, variables: &[(&str, String)], signals: &mut Signals) -> anyhow::Result<ExitCode> {
    let text: String = variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    signals.next().await;
    fs::remove_file(file).ok();
    Ok(ExitCode::SUCCESS)
}

async fn run_command(
    command: &[String],
    variables: [(&str, String); 2],
    signals: &mut Signals,
) -> anyhow::Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command given")?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(variables)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            signal = signals.next() => pass_on(&child, signal),
        }
    };
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn pass_on(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        kill(Pid::from_raw(pid), signal).ok();
    }
}

struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.terminate.recv() => Signal::SIGTERM,
        }
    }
}
