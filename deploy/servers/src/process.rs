//! Child processes that aren't left behind by accident. Each has its own process group and a log file for its output,
//! and is told apart from other processes that later get its pid.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How many log lines the error of a failed start shows.
const LINES_SHOWN: usize = 15;

/// Identifies a process. Its pid alone doesn't, since another process may get it later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub pid: i32,
    /// When it started, in the operating system's form; only for comparing.
    pub started: String,
}

impl Identity {
    /// The process that has this pid now; `None` if there is none, or only a dead child that nobody has waited for.
    pub fn of(pid: i32) -> Option<Self> {
        started(pid).map(|started| Self { pid, started })
    }

    /// Whether it still runs, and is still the same process.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Its command line, with spaces between the arguments; empty if it is gone.
    pub fn command_line(&self) -> String {
        command_line(self.pid)
    }

    /// Sends a signal if it is still the same process, and returns whether it was.
    pub fn signal(&self, signal: Signal) -> bool {
        self.is_alive() && kill(Pid::from_raw(self.pid), signal).is_ok()
    }

    /// Ends it with the signal `first`, after `patience` with `last`, and five seconds later with SIGKILL.
    pub async fn end(&self, first: Signal, patience: Duration, last: Signal) {
        for (signal, patience) in [(first, patience), (last, Duration::from_secs(5)), (Signal::SIGKILL, patience)] {
            if !self.signal(signal) {
                return;
            }
            let until = Instant::now() + patience;
            while Instant::now() < until {
                if !self.is_alive() {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn started(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name is in parentheses, and may itself contain any character.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    let ticks_since_boot = fields.nth(18)?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Some(format!("{}+{ticks_since_boot}", boot.trim()))
}

#[cfg(target_os = "linux")]
fn command_line(pid: i32) -> String {
    let raw = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw).replace('\0', " ").trim_end().to_owned()
}

#[cfg(not(target_os = "linux"))]
fn ps(pid: i32, columns: &str) -> Option<String> {
    let output = std::process::Command::new("ps").args(["-o", columns, "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

#[cfg(not(target_os = "linux"))]
fn started(pid: i32) -> Option<String> {
    if ps(pid, "state=")?.starts_with('Z') { None } else { ps(pid, "lstart=") }
}

#[cfg(not(target_os = "linux"))]
fn command_line(pid: i32) -> String {
    ps(pid, "command=").unwrap_or_default()
}

/// A server process. Dropping it kills it; its data survives that.
#[derive(Debug)]
pub struct ServerProcess {
    name: &'static str,
    child: Child,
    identity: Identity,
    log: PathBuf,
}

impl ServerProcess {
    /// Starts the command in a process group of its own, so that Ctrl-C in the terminal doesn't reach it before its
    /// users. Its output goes to the file `log`, not to a pipe, so it can go on when the program that started it is
    /// killed.
    pub fn spawn(name: &'static str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let output = File::options().create(true).append(true).open(log);
        let output = output.with_context(|| format!("the log file {}", log.display()))?;
        command.process_group(0).kill_on_drop(true).stdin(Stdio::null());
        command.stdout(output.try_clone()?).stderr(output);
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("starting {name} ({program})"))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).context("a started process has a pid")?;
        let identity = Identity::of(pid).unwrap_or(Identity { pid, started: String::new() });
        Ok(Self { name, child, identity, log: log.to_owned() })
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Fails, with the last lines of its log, if it has ended.
    pub fn must_live(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended while starting ({status}){}", self.name, self.last_words()),
        }
    }

    /// The last lines of its log and the path of the rest, to append to an error.
    pub fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).map(|raw| String::from_utf8_lossy(&raw).into_owned()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let shown = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n  ");
        format!("; the last lines of {}:\n  {shown}", self.log.display())
    }

    /// Ends it with the signal `first`, after `patience` with `last`, and finally with SIGKILL.
    pub async fn stop(mut self, first: Signal, patience: Duration, last: Signal) -> anyhow::Result<()> {
        for (signal, patience) in
            [(first, patience), (last, Duration::from_secs(3)), (Signal::SIGKILL, Duration::from_secs(3))]
        {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            kill(Pid::from_raw(self.identity.pid), signal).ok();
            if timeout(patience, self.child.wait()).await.is_ok() {
                return Ok(());
            }
            tracing::warn!(server = self.name, signal = signal.as_str(), "did not end in time");
        }
        bail!("{} (pid {}) doesn't end, not even by SIGKILL", self.name, self.identity.pid)
    }
}

/// Begins a new log file; the previous one is kept as `<log>.1`.
pub fn rotate_log(log: &Path) -> anyhow::Result<()> {
    let mut earlier = log.as_os_str().to_owned();
    earlier.push(".1");
    match std::fs::rename(log, earlier) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("rotating {}", log.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("600");
        command
    }

    #[tokio::test]
    async fn a_process_is_known_again_by_pid_and_start_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerProcess::spawn("sleep", sleeper(), &folder.path().join("log")).unwrap();
        let identity = server.identity().clone();
        assert!(identity.is_alive());
        // The system may show the command line only a moment after the start.
        let until = Instant::now() + Duration::from_secs(5);
        while !identity.command_line().contains("600") {
            assert!(Instant::now() < until, "its command line is {:?}", identity.command_line());
            tokio::task::yield_now().await;
        }
        server.stop(Signal::SIGTERM, Duration::from_secs(5), Signal::SIGKILL).await.unwrap();
        assert!(!identity.is_alive());
    }

    #[tokio::test]
    async fn a_stranger_with_the_same_pid_gets_no_signal() {
        let folder = tempfile::tempdir().unwrap();
        let mut server = ServerProcess::spawn("sleep", sleeper(), &folder.path().join("log")).unwrap();
        let earlier = Identity { pid: server.identity().pid, started: "long ago".to_owned() };
        assert!(!earlier.signal(Signal::SIGKILL));
        server.must_live().unwrap();
    }

    #[tokio::test]
    async fn a_failed_start_shows_the_last_lines_of_the_log_and_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("server.log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such luck; exit 3"]);
        let mut server = ServerProcess::spawn("a server", command, &log).unwrap();
        server.wait().await.unwrap();
        let error = server.must_live().unwrap_err().to_string();
        assert!(error.contains("no such luck") && error.contains(log.to_str().unwrap()), "{error}");
    }

    #[tokio::test]
    async fn what_ignores_the_first_signal_is_ended_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"]);
        let log = folder.path().join("log");
        let server = ServerProcess::spawn("a deaf server", command, &log).unwrap();
        while !std::fs::read_to_string(&log).unwrap().contains("deaf") {
            tokio::task::yield_now().await;
        }
        let identity = server.identity().clone();
        server.stop(Signal::SIGTERM, Duration::from_millis(50), Signal::SIGKILL).await.unwrap();
        assert!(!identity.is_alive());
    }
}
