//! How fast the shop is, measured beside its limits and its peers on the same machine.

mod arms;
mod cli;
mod disk;
mod http;
mod load;
mod machine;
mod report;
mod results;
mod shop;
mod sizing;
mod stage;
mod statements;
mod svg;
mod targets;
mod usage;
mod watch;

use std::{process::ExitCode, time::Instant};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use self::{cli::Arguments, results::Results};

/// What every arm is given.
pub struct Bench {
    pub arguments: Arguments,
    pub sizes: cli::Sizes,
    pub manifest: machine::Manifest,
    began: Instant,
}

impl Bench {
    /// Says on the error stream how far the run is.
    pub fn progress(&self, text: &str) {
        let seconds = self.began.elapsed().as_secs();
        eprintln!("[{:2}:{:02}] {text}", seconds / 60, seconds % 60);
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let bench =
        Bench { sizes: arguments.sizes(), manifest: machine::Manifest::read(), began: Instant::now(), arguments };
    std::fs::create_dir_all(&bench.arguments.out)?;
    let mut results = Results::default();
    let mut terminate = signal(SignalKind::terminate())?;
    // what runs is dropped, and with it every server and program that was started
    let interrupted = tokio::select! {
        () = arms::run(&bench, &mut results) => false,
        _ = tokio::signal::ctrl_c() => true,
        _ = terminate.recv() => true,
    };
    if interrupted {
        eprintln!("interrupted: what was measured till then is written");
    }
    results.took_seconds = bench.began.elapsed().as_secs_f64();
    let missed = report::write(&bench, &results)?;
    disk::tidy(&bench.arguments.data);
    Ok(if interrupted || missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
