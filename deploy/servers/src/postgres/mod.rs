//! One PostgreSQL server on loopback, from the machine's binaries.

mod binaries;
mod cluster;
mod secured;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use tokio::process::Command;
use tokio::time::{Instant, sleep};
use tokio_postgres::NoTls;

use self::{binaries::Binaries, cluster::Cluster};
use crate::folder::RunAs;
use crate::process::{Identity, ServerProcess, rotate_log};
use crate::{Durability, port};

/// The superuser of every cluster that is created here.
const SUPERUSER: &str = "postgres";
/// How long a start may take; recovering from a large log after a crash takes time.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// The longest folder for a Unix socket. Operating systems limit the socket's path to little more than this.
const LONGEST_SOCKET_FOLDER: usize = 85;

#[derive(Debug, Clone)]
pub struct Options {
    /// The folder for all of its files, including the log. No one else may use it: a server that a killed run left
    /// there is stopped.
    pub folder: PathBuf,
    /// The port on 127.0.0.1; a free one if `None`.
    pub port: Option<u16>,
    pub durability: Durability,
}

#[derive(Debug)]
pub struct Postgres {
    process: ServerProcess,
    folder: PathBuf,
    port: u16,
    password: Option<String>,
}

impl Postgres {
    /// Starts the server, and returns once it answers a query. If the folder is new, it creates the data first. Fails
    /// if there are no usable binaries (the error says how to install them), if the port is taken, if the data is of
    /// another major version, or, with the last lines of the log, if the server doesn't start.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        Self::start_with(options, &[]).await
    }

    /// The same with further settings, each `name=value`.
    pub async fn start_with(options: &Options, settings: &[&str]) -> anyhow::Result<Self> {
        let run_as = RunAs::unprivileged()?;
        let folder = run_as.folder(&options.folder)?;
        if folder != std::path::absolute(&options.folder)? {
            tracing::warn!(folder = %folder.display(), "PostgreSQL's user can't reach the data folder; its data are here");
        }
        let cluster = Cluster::in_folder(&folder);
        let binaries = Binaries::find(cluster.major()?)?;
        cluster.stop_left_over().await?;
        let password = cluster.make_if_new(&binaries, run_as, options.durability).await?;
        let port = port::claim(options.port, "PostgreSQL")?;
        let until = Instant::now() + READY_WITHIN;
        loop {
            let process = spawn(&binaries, run_as, &cluster, port, options.durability, settings)?;
            let mut server = Self { process, folder: folder.clone(), port, password: password.clone() };
            match server.ready(until).await {
                Ok(()) => return Ok(server),
                // After a kill of the postmaster, its child processes need a moment to notice.
                Err(error) if is_shared_memory_in_use(&error) && Instant::now() < until => {
                    sleep(Duration::from_millis(200)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The superuser's URL for a database, which need not exist yet.
    pub fn url(&self, database: &str) -> String {
        let password = self.password.as_ref().map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgres://{SUPERUSER}{password}@127.0.0.1:{}/{database}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its data. It is not the requested one if the server's user can't reach that.
    pub fn folder(&self) -> &Path {
        &self.folder
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

    /// Stops it with a fast shutdown: transactions are rolled back and everything is written. After `patience` it is
    /// stopped immediately.
    pub async fn stop(self, patience: Duration) -> anyhow::Result<()> {
        self.process.stop(Signal::SIGINT, patience, Signal::SIGQUIT).await
    }

    async fn ready(&mut self, until: Instant) -> anyhow::Result<()> {
        let url = self.url("postgres");
        let mut wait = Duration::from_millis(20);
        loop {
            self.process.must_live()?;
            let error = match ping(&url).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if Instant::now() >= until {
                bail!("PostgreSQL didn't answer within {READY_WITHIN:?} ({error:#}){}", self.process.last_words());
            }
            sleep(wait).await;
            wait = (wait * 2).min(Duration::from_millis(320));
        }
    }
}

/// Creates the database if the server doesn't have it, and returns whether it did. Fails if the server can't be
/// reached, or if the URL's user may not create databases.
pub async fn ensure_database(admin_url: &str, database: &str) -> anyhow::Result<bool> {
    let (client, connection) = tokio_postgres::connect(admin_url, NoTls).await.context("connecting to PostgreSQL")?;
    let driver = tokio::spawn(connection);
    let known = client.query_opt("select 1 from pg_database where datname = $1", &[&database]).await?.is_some();
    if !known {
        let name = database.replace('"', "\"\"");
        client.batch_execute(&format!("create database \"{name}\"")).await.context("create database")?;
    }
    drop(client);
    driver.await?.ok();
    Ok(!known)
}

async fn ping(url: &str) -> anyhow::Result<()> {
    let (client, connection) =
        tokio::time::timeout(Duration::from_secs(2), tokio_postgres::connect(url, NoTls)).await??;
    let driver = tokio::spawn(connection);
    client.simple_query("select 1").await?;
    drop(client);
    driver.await?.ok();
    Ok(())
}

fn is_shared_memory_in_use(error: &anyhow::Error) -> bool {
    error.to_string().contains("pre-existing shared memory block")
}

fn spawn(
    binaries: &Binaries,
    run_as: RunAs,
    cluster: &Cluster,
    port: u16,
    durability: Durability,
    more: &[&str],
) -> anyhow::Result<ServerProcess> {
    let mut command = std::process::Command::new(binaries.postgres());
    run_as.apply(&mut command);
    command.arg("-D").arg(cluster.data()).args(["-p", &port.to_string()]);
    let folder = cluster.folder();
    let sockets = if folder.as_os_str().len() < LONGEST_SOCKET_FOLDER { folder.to_string_lossy() } else { "".into() };
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("unix_socket_directories={sockets}"),
        "unix_socket_permissions=0700".to_owned(),
        "max_connections=400".to_owned(),
        "shared_buffers=128MB".to_owned(),
        "logging_collector=off".to_owned(),
        "log_destination=stderr".to_owned(),
        "log_line_prefix=%m [%p] ".to_owned(),
    ];
    if cfg!(target_os = "linux") {
        // After a kill -9 this is one call, instead of an fsync for each of thousands of files, which takes seconds.
        settings.push("recovery_init_sync_method=syncfs".to_owned());
    }
    if durability == Durability::Tests {
        settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(str::to_owned));
    }
    settings.extend(more.iter().map(|setting| (*setting).to_owned()));
    for setting in &settings {
        command.args(["-c", setting]);
    }
    rotate_log(&cluster.log())?;
    ServerProcess::spawn("PostgreSQL", Command::from(command), &cluster.log())
}
