//! What a run of points prints: a line with figures for each.

use std::{io::Write, time::Instant};

/// Which points are wanted, and how many of them failed.
#[derive(Debug)]
pub(crate) struct Report {
    only: String,
    failed: usize,
}

impl Report {
    /// Reports the points whose name contains `only`.
    pub fn new(only: &str) -> Self {
        Self { only: only.to_owned(), failed: 0 }
    }

    pub const fn failed(&self) -> usize {
        self.failed
    }

    /// Tries a point out, unless it isn't wanted, and prints how that went. Returns false when it failed.
    pub async fn point(&mut self, name: &str, work: impl Future<Output = anyhow::Result<String>>) -> bool {
        if !name.contains(&self.only) {
            return true;
        }
        let began = Instant::now();
        match work.await {
            Ok(figures) => say(&format!("ok    {name}: {figures} ({:.1} s)", began.elapsed().as_secs_f64())),
            Err(error) => {
                self.failed += 1;
                say(&format!("FAIL  {name}: {error:#}"));
                return false;
            }
        }
        true
    }
}

/// A line on standard output, at once.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).ok();
}
