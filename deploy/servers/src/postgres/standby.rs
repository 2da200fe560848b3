//! A standby of a server, and its promotion.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio_postgres::NoTls;

use super::{Options, Postgres, SUPERUSER, binaries::Binaries, cluster::Cluster};
use crate::folder::RunAs;
use crate::port;

/// How long a promotion may take: what was received is replayed first.
const PROMOTED_WITHIN: Duration = Duration::from_secs(60);

impl Postgres {
    /// Starts a standby of this server with data of its own in a new folder, and returns once it answers queries. It calls
    /// itself `name` (its `application_name`), and receives the WAL over `port`: this server's, or that of a link to it.
    pub async fn standby(&self, options: &Options, name: &str, port: u16, settings: &[&str]) -> anyhow::Result<Self> {
        let run_as = RunAs::unprivileged()?;
        let cluster = Cluster::in_folder(&run_as.folder(&options.folder)?);
        let binaries = Binaries::find(Cluster::in_folder(self.folder()).major()?)?;
        if cluster.data().exists() {
            bail!("{} has data: a standby begins with a copy of its primary's", cluster.data().display());
        }
        let mut command = Command::new(binaries.basebackup());
        run_as.apply(&mut command);
        command.arg("-D").arg(cluster.data()).args([
            "--checkpoint=fast",
            "--write-recovery-conf",
            "--no-sync",
            "-w",
            "-d",
        ]);
        command.arg(format!("host=127.0.0.1 port={port} user={SUPERUSER} application_name={name}"));
        command.envs(self.password.as_ref().map(|password| ("PGPASSWORD", password)));
        let output = tokio::process::Command::from(command).output().await.context("running pg_basebackup")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            bail!("pg_basebackup failed ({}):\n{said}", output.status);
        }
        if let Some(password) = &self.password {
            cluster.keep_password(password, run_as)?;
        }
        let own = port::claim(options.port, "PostgreSQL's standby")?;
        Self::launch(&binaries, run_as, &cluster, own, options.durability, settings, self.password.clone()).await
    }

    /// Makes a standby a primary, and returns once it takes writes.
    pub async fn promote(&self) -> anyhow::Result<()> {
        let (client, connection) = tokio_postgres::connect(&self.url("postgres"), NoTls).await?;
        let driver = tokio::spawn(connection);
        let seconds = i32::try_from(PROMOTED_WITHIN.as_secs())?;
        let promoted: bool = client.query_one("select pg_promote(true, $1)", &[&seconds]).await?.get(0);
        drop(client);
        driver.await?.ok();
        if !promoted {
            bail!("the standby takes no writes after {PROMOTED_WITHIN:?}{}", self.process.last_words());
        }
        Ok(())
    }

    /// Kills it as a machine dies: the server and every process of its own at once, none of which may say another word.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        let children = children_of(self.identity().pid);
        // The parent first: it would start some of them again.
        for pid in std::iter::once(self.identity().pid).chain(children) {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).ok();
        }
        self.wait().await.context("waiting for a killed PostgreSQL")?;
        Ok(())
    }
}

/// The processes that a process has started and that still run. Only Linux tells; elsewhere they notice by themselves, a
/// moment later, that their parent is gone.
fn children_of(parent: i32) -> Vec<i32> {
    let tasks = PathBuf::from(format!("/proc/{parent}/task/{parent}/children"));
    let told = fs::read_to_string(tasks).unwrap_or_default();
    told.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
