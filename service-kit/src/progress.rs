//! Reports the progress of a long command: on a terminal as one line that is rewritten, otherwise as a line every few
//! seconds.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// How often progress is reported on a terminal, and in a log.
const LIVELY: Duration = Duration::from_millis(200);
const QUIET: Duration = Duration::from_secs(5);

/// Reports on standard error how much is done, how fast it goes, and how long the rest will take.
pub struct Progress {
    what: String,
    total: u64,
    terminal: bool,
    began: Instant,
    told: Option<Instant>,
}

impl Progress {
    /// Begins now, with `total` to do; `what` starts every line.
    pub fn new(what: impl Into<String>, total: u64) -> Self {
        Self { what: what.into(), total, terminal: stderr().is_terminal(), began: Instant::now(), told: None }
    }

    /// Notes how much is done, and reports it if a report is due. `remark` ends the line.
    pub fn at(&mut self, done: u64, remark: &str) {
        let pause = if self.terminal { LIVELY } else { QUIET };
        if self.told.unwrap_or(self.began).elapsed() >= pause {
            self.tell(done, remark);
        }
    }

    /// Ends the report with a last line, unless nobody watches and nothing was reported before.
    pub fn end(mut self, done: u64) {
        if self.terminal || self.told.is_some() {
            self.tell(done, "");
        }
        if self.terminal {
            let _ = writeln!(stderr());
        }
    }

    fn tell(&mut self, done: u64, remark: &str) {
        self.told = Some(Instant::now());
        let line = line(&self.what, done, self.total, self.began.elapsed());
        let remark = if remark.is_empty() { String::new() } else { format!(", {remark}") };
        // If standard error is closed, nobody can be told.
        let _ = if self.terminal {
            write!(stderr(), "\r\x1b[K{line}{remark}").and_then(|()| stderr().flush())
        } else {
            writeln!(stderr(), "{line}{remark}")
        };
    }
}

fn line(what: &str, done: u64, total: u64, time: Duration) -> String {
    let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
    let rate = u128::from(done).saturating_mul(1_000) / time.as_millis().max(1);
    let left = match total.saturating_sub(done) {
        0 => String::new(),
        left if rate > 0 => format!(", {} s left", u128::from(left) / rate),
        _ => String::new(),
    };
    format!("{what}: {done} of {total} ({percent} %), {rate}/s{left}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_much_how_fast_and_how_long() {
        let at = |done, total, seconds| line("rows", done, total, Duration::from_secs(seconds));
        assert_eq!(at(250, 1_000, 5), "rows: 250 of 1000 (25 %), 50/s, 15 s left");
        assert_eq!(at(1_000, 1_000, 20), "rows: 1000 of 1000 (100 %), 50/s");
        assert_eq!(at(0, 1_000, 0), "rows: 0 of 1000 (0 %), 0/s");
        assert_eq!(at(0, 0, 1), "rows: 0 of 0 (100 %), 0/s");
    }
}
