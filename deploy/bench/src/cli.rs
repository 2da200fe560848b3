//! What can be said on the command line, and how large a run it means.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Parser, ValueEnum};

/// Measures the shop beside its limits and its peers, each alone on this machine. Run nothing else meanwhile.
#[derive(Debug, Parser)]
#[command(name = "quadrille-bench", version)]
pub struct Arguments {
    /// Only these arms; may be given several times.
    #[arg(long, value_name = "ARM", value_delimiter = ',')]
    pub only: Vec<Arm>,
    /// How often each arm is repeated; arms that take minutes are repeated less.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: Option<u16>,
    /// Two minutes: every arm once and small; fails where a row is lost or a limit is missed by an order of magnitude.
    #[arg(long)]
    pub smoke: bool,
    /// Grows tables to ten million rows as well; takes about half an hour more and 30 GB of disk.
    #[arg(long, conflicts_with = "smoke")]
    pub long: bool,
    /// Relays of others too: Debezium (needs Java and Maven Central), Watermill (needs Go and its module proxy).
    #[arg(long)]
    pub peers: bool,
    /// Where the programs of the shop are; beside this one when it isn't given.
    #[arg(long, value_name = "DIR")]
    pub programs: Option<PathBuf>,
    /// Where servers keep their data during the run: a disk on which fsync means something.
    #[arg(long, value_name = "DIR", default_value = "target/bench/data")]
    pub data: PathBuf,
    /// Where results.json, results.md and results.svg are written.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub out: PathBuf,
    /// Renews docs/PERFORMANCE.md, docs/performance/ and the README of the tree that is here.
    #[arg(long, value_name = "TREE")]
    pub write_docs: Option<PathBuf>,
}

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arm {
    /// Whole orders: at saturation, at 50 % and 80 % of it, one at a time; a held snapshot; idle, start, memory.
    Whole,
    /// Placement over HTTP, and pgbench with the same statements.
    Placement,
    /// A product, the catalogue's first page and an order looked up, and pgbench with the same statements.
    Reads,
    /// Catch-up of a full topic by each service.
    Reactions,
    /// The relay's drain, a raw producer, the textbook's relay, and peers.
    Relay,
    /// The same rates while tables grow.
    Growth,
    /// Placement and whole orders with a tenth of the traces exported, and without any; only where it is named.
    Telemetry,
}

impl Arguments {
    pub fn wants(&self, arm: Arm) -> bool {
        self.only.is_empty() || self.only.contains(&arm)
    }

    pub fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = match &self.programs {
            Some(folder) => folder.clone(),
            None => std::env::current_exe()?.parent().context("this program is in a folder")?.to_owned(),
        };
        let program = folder.join(name);
        anyhow::ensure!(program.exists(), "{} is not there: build it first (make bench does)", program.display());
        Ok(std::path::absolute(program)?)
    }

    pub fn sizes(&self) -> Sizes {
        let sizes = if self.smoke { Sizes::SMOKE } else { Sizes::WHOLE };
        let rounds = self.rounds.map_or(sizes.rounds, usize::from);
        let most = if self.long { 10_000_000 } else { sizes.grown[sizes.grown.len() - 1] };
        let grown = sizes.grown.iter().copied().filter(|rows| *rows <= most);
        Sizes {
            rounds,
            long_rounds: sizes.long_rounds.min(rounds),
            most_rows: grown.max().unwrap_or(most).max(most),
            ..sizes
        }
    }
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub rounds: usize,
    /// Of what takes long.
    pub long_rounds: usize,
    pub drained_rows: i64,
    /// Of a relay that awaits each acknowledgement.
    pub awaited_rows: i64,
    pub waiting_events: usize,
    pub connections: &'static [usize],
    pub placing: Duration,
    /// Products that are listed, and orders that are placed, to be looked up.
    pub looked_up: usize,
    pub reading: Duration,
    pub saturated: Duration,
    pub open: Duration,
    pub one_at_a_time: usize,
    pub snapshot: Duration,
    pub idle: Duration,
    pub grown: &'static [i64],
    pub most_rows: i64,
}

impl Sizes {
    const WHOLE: Self = Self {
        rounds: 5,
        long_rounds: 3,
        drained_rows: 200_000,
        awaited_rows: 4_000,
        waiting_events: 20_000,
        connections: &[1, 8, 32, 128],
        placing: Duration::from_secs(5),
        looked_up: 1_000,
        reading: Duration::from_secs(1),
        saturated: Duration::from_secs(10),
        open: Duration::from_secs(15),
        one_at_a_time: 100,
        snapshot: Duration::from_secs(120),
        idle: Duration::from_secs(20),
        grown: &[10_000, 1_000_000],
        most_rows: 1_000_000,
    };
    const SMOKE: Self = Self {
        rounds: 1,
        long_rounds: 1,
        drained_rows: 5_000,
        awaited_rows: 200,
        waiting_events: 500,
        connections: &[1, 32],
        placing: Duration::from_secs(1),
        looked_up: 100,
        reading: Duration::from_millis(300),
        saturated: Duration::from_secs(5),
        open: Duration::from_secs(3),
        one_at_a_time: 10,
        snapshot: Duration::from_secs(3),
        idle: Duration::from_secs(2),
        grown: &[1_000, 10_000],
        most_rows: 10_000,
    };

    /// The row counts to which tables are grown, in turn.
    pub fn growth(&self) -> Vec<i64> {
        let mut all: Vec<_> = self.grown.to_vec();
        if self.most_rows > self.grown[self.grown.len() - 1] {
            all.push(self.most_rows);
        }
        all
    }
}
