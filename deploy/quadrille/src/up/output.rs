//! Shows a child's log in the terminal, each line with the child's name before it.
//!
//! The log file comes first and the terminal follows it: a pipe would break under the children when the runner is killed,
//! and a slow terminal would slow them down.

use std::io::{SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const LOOK_EVERY: Duration = Duration::from_millis(150);
/// How much is read at once; the rest waits for the next look.
const MOST_AT_ONCE: u64 = 64 * 1024;

/// Follows one log.
#[derive(Debug)]
pub(super) struct Follower {
    name: &'static str,
    log: PathBuf,
    read: u64,
    unfinished: Vec<u8>,
}

impl Follower {
    pub fn new(name: &'static str, log: &Path) -> Self {
        Self { name, log: log.to_owned(), read: 0, unfinished: Vec::new() }
    }

    /// Until it is told to stop; what comes while the children drain is in the file only.
    pub async fn follow(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(sleep(LOOK_EVERY)).await.is_some() {
            if let Ok(text) = self.news().await {
                let mut out = std::io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
            }
        }
    }

    /// The whole lines that were written since the last look.
    async fn news(&mut self) -> std::io::Result<String> {
        let mut file = File::open(&self.log).await?;
        file.seek(SeekFrom::Start(self.read)).await?;
        let mut fresh = Vec::new();
        self.read += file.take(MOST_AT_ONCE).read_to_end(&mut fresh).await? as u64;
        self.unfinished.append(&mut fresh);
        let whole = self.unfinished.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<_> = self.unfinished.drain(..whole).collect();
        let lines = String::from_utf8_lossy(&lines);
        Ok(lines.lines().map(|line| format!("{:16} | {line}\n", self.name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whole_lines_are_shown_once_with_the_name_before_them() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut follower = Follower::new("order-svc", &log);
        std::fs::write(&log, "one\ntw").unwrap();
        assert_eq!(follower.news().await.unwrap(), "order-svc        | one\n");
        std::fs::write(&log, "one\ntwo\n").unwrap();
        assert_eq!(follower.news().await.unwrap(), "order-svc        | two\n");
        assert_eq!(follower.news().await.unwrap(), "");
    }
}
