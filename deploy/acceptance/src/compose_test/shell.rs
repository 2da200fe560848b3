//! Commands, run as a person at a terminal would.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

#[derive(Debug, Clone)]
pub(super) struct Output {
    pub success: bool,
    /// Both of its outputs, as they came.
    pub text: String,
}

impl Output {
    /// What it said. Fails, with the last that it said, if it ended with an error.
    pub fn ok(self, what: &str) -> anyhow::Result<String> {
        if !self.success {
            bail!("`{what}` failed: {}", last_lines(&self.text, 8));
        }
        Ok(self.text)
    }
}

/// The last lines that have something in them, in one line.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join(" / ")
}

/// Runs commands in the repository's root and keeps what they said.
#[derive(Debug, Clone)]
pub(super) struct Shell {
    root: PathBuf,
    transcript: PathBuf,
}

impl Shell {
    /// With a transcript of its own, which begins anew.
    pub fn new(root: &Path, transcript: PathBuf) -> anyhow::Result<Self> {
        fs::write(&transcript, "").with_context(|| format!("writing {}", transcript.display()))?;
        Ok(Self { root: root.to_owned(), transcript })
    }

    /// Runs a text as bash would that was typed at a terminal, since compose's `exec` and `run` want one. Kills it if
    /// it doesn't end in time.
    pub async fn typed(&self, text: &str, env: &[(&str, &str)], within: Duration) -> anyhow::Result<Output> {
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", text, "/dev/null"]);
        command.env("SHELL", "/bin/bash").envs(env.iter().copied());
        self.run(command, text, within).await
    }

    /// Runs a bash script that needs no terminal.
    pub async fn script(&self, text: &str, env: &[(&str, &str)], within: Duration) -> anyhow::Result<Output> {
        let mut command = Command::new("bash");
        command.args(["-c", text]).envs(env.iter().copied());
        self.run(command, text, within).await
    }

    pub async fn program(&self, program: &str, arguments: &[&str], within: Duration) -> anyhow::Result<Output> {
        let mut command = Command::new(program);
        command.args(arguments);
        self.run(command, &format!("{program} {}", arguments.join(" ")), within).await
    }

    /// Runs a text that never ends by itself until it has said something, then ends it with Ctrl-C. Fails if it says
    /// nothing in time, or ends by itself with an error.
    pub async fn followed(&self, text: &str, env: &[(&str, &str)], within: Duration) -> anyhow::Result<Output> {
        let mut command = Command::new("bash");
        command.args(["-c", text]).envs(env.iter().copied());
        let mut child = self.spawn(command, text)?;
        let mut out = child.stdout.take().context("no output to read")?;
        let mut said = vec![0; 16 * 1024];
        let count = timeout(within, out.read(&mut said)).await.with_context(|| format!("`{text}` said nothing"))??;
        signal(&child, Signal::SIGINT);
        if timeout(within, child.wait()).await.is_err() {
            signal(&child, Signal::SIGKILL);
        }
        Ok(Output { success: count > 0, text: self.note(text, plain(&said[..count])) })
    }

    async fn run(&self, command: Command, text: &str, within: Duration) -> anyhow::Result<Output> {
        let mut child = self.spawn(command, text)?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        // held open: at its end `script` would end what it runs
        let stdin = child.stdin.take();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let ended = timeout(within, async {
            tokio::try_join!(read(stdout, &mut out), read(stderr, &mut err))?;
            child.wait().await
        })
        .await;
        drop(stdin);
        let said = self.note(text, plain(&[out, err].concat()));
        let Ok(status) = ended else {
            signal(&child, Signal::SIGKILL);
            bail!("`{text}` had not ended after {} s: {}", within.as_secs(), last_lines(&said, 4));
        };
        Ok(Output { success: status?.success(), text: said })
    }

    fn spawn(&self, mut command: Command, text: &str) -> anyhow::Result<Child> {
        command.current_dir(&self.root).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().with_context(|| format!("starting `{text}`"))
    }

    fn note(&self, text: &str, said: String) -> String {
        if let Ok(mut file) = File::options().append(true).open(&self.transcript) {
            writeln!(file, "$ {text}\n{said}").ok();
        }
        said
    }
}

async fn read(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> std::io::Result<()> {
    if let Some(mut from) = from {
        from.read_to_end(into).await?;
    }
    Ok(())
}

/// The whole group: a shell's children, too.
fn signal(child: &Child, signal: Signal) {
    if let Some(group) = child.id().and_then(|id| i32::try_from(id).ok()) {
        killpg(Pid::from_raw(group), signal).ok();
    }
}

/// Without what makes it colourful and moves the cursor.
fn plain(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw).replace('\r', "\n");
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' {
            // ESC [ parameters letter
            chars.by_ref().skip(1).find(char::is_ascii_alphabetic);
        } else {
            plain.push(char);
        }
    }
    plain
}

/// Waits a little; for loops that ask again.
pub(super) async fn a_moment() {
    sleep(Duration::from_millis(250)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_cursor_movements_are_left_out() {
        assert_eq!(plain(b"\x1b[32mdone\x1b[0m\r\n\x1b[2Kok"), "done\n\nok");
    }

    #[tokio::test]
    async fn a_command_is_run_in_a_terminal_and_its_end_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let shell = Shell::new(folder.path(), folder.path().join("transcript")).unwrap();
        let typed = shell.typed("[ -t 0 ] && echo \"at $HERE\"; exit 3", &[("HERE", "home")], Duration::from_secs(20));
        let typed = typed.await.unwrap();
        assert_eq!((typed.text.trim(), typed.success), ("at home", false));
        assert!(fs::read_to_string(folder.path().join("transcript")).unwrap().contains("at home"));
    }

    #[tokio::test]
    async fn what_never_ends_is_ended_once_it_has_said_something() {
        let folder = tempfile::tempdir().unwrap();
        let shell = Shell::new(folder.path(), folder.path().join("transcript")).unwrap();
        let said = shell.followed("echo hello; sleep 600", &[], Duration::from_secs(20)).await.unwrap();
        assert_eq!((said.text.trim(), said.success), ("hello", true));
    }
}
