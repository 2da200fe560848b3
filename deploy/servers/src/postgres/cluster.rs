//! The files of one PostgreSQL cluster.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use rand::distr::{Alphanumeric, SampleString};

use super::{SUPERUSER, binaries::Binaries};
use crate::{Durability, folder::RunAs, process::Identity};

/// `<folder>/data`, `<folder>/password`, `<folder>/postgres.log`
#[derive(Debug)]
pub(super) struct Cluster {
    folder: PathBuf,
}

impl Cluster {
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    fn password_file(&self) -> PathBuf {
        self.folder.join("password")
    }

    /// The major version of the data; `None` if there is no data.
    pub fn major(&self) -> anyhow::Result<Option<u32>> {
        let file = self.data().join("PG_VERSION");
        if !file.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        Ok(Some(text.trim().parse().with_context(|| format!("{} holds {text:?}", file.display()))?))
    }

    /// Stops a server of a killed run that still serves this data, and removes the lock file of a dead one. The pid
    /// in that file may belong to another process by now, which PostgreSQL would take for a running server.
    pub async fn stop_left_over(&self) -> anyhow::Result<()> {
        let lock = self.data().join("postmaster.pid");
        let Ok(text) = fs::read_to_string(&lock) else { return Ok(()) };
        let ours =
            text.lines().next().and_then(|line| line.trim().parse().ok()).and_then(Identity::of).filter(|found| {
                let command = found.command_line();
                command.contains("postgres") && command.contains(&*self.data().to_string_lossy())
            });
        if let Some(server) = ours {
            tracing::info!(pid = server.pid, "stopping a PostgreSQL that a killed run left behind");
            server.end(Signal::SIGINT, Duration::from_secs(10), Signal::SIGQUIT).await;
            if server.is_alive() {
                bail!("the PostgreSQL with pid {} still serves {} and doesn't end", server.pid, self.data().display());
            }
        }
        match fs::remove_file(&lock) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", lock.display()))
            }
            _ => Ok(()),
        }
    }

    /// Creates the data if there is none, first under another name, so that an interrupted `initdb` leaves no half-made
    /// data. Returns the superuser's password; for tests there is none, because loopback is trusted.
    pub async fn make_if_new(
        &self,
        binaries: &Binaries,
        run_as: RunAs,
        durability: Durability,
    ) -> anyhow::Result<Option<String>> {
        if !self.data().exists() {
            self.make(binaries, run_as, durability).await?;
        }
        match fs::read_to_string(self.password_file()) {
            Ok(password) => Ok(Some(password.trim().to_owned())),
            Err(_) if durability == Durability::Tests => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", self.password_file().display())),
        }
    }

    async fn make(&self, binaries: &Binaries, run_as: RunAs, durability: Durability) -> anyhow::Result<()> {
        let unfinished = self.folder.join("data.new");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        let mut command = Command::new(binaries.initdb());
        run_as.apply(&mut command);
        command.arg("-D").arg(&unfinished).args([
            "-U",
            SUPERUSER,
            "--encoding=UTF8",
            "--locale=C",
            "--auth-local=trust",
        ]);
        match durability {
            Durability::Tests => command.args(["--auth-host=trust", "--no-sync"]),
            Durability::Real => {
                self.write_password(run_as)?;
                command.arg("--auth-host=scram-sha-256").arg("--pwfile").arg(self.password_file())
            }
        };
        let output = tokio::process::Command::from(command).output().await.context("running initdb")?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            bail!("initdb failed ({}):\n{}", output.status, String::from_utf8_lossy(&said));
        }
        fs::rename(&unfinished, self.data()).context("moving the new cluster into place")
    }

    fn write_password(&self, run_as: RunAs) -> anyhow::Result<()> {
        let file = self.password_file();
        let password = Alphanumeric.sample_string(&mut rand::rng(), 24);
        let mut out = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file)?;
        writeln!(out, "{password}")?;
        run_as.own(&file)
    }
}
