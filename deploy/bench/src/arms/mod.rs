//! The parts of the benchmark. One that fails is noted, and the others go on.

mod growth;
mod idle;
mod one_at_a_time;
mod parameter_types;
mod pgbench;
mod placement;
mod reactions;
mod reads;
mod relay;
mod snapshot;
mod statement_log;
mod telemetry;
mod whole;

use crate::{Bench, cli::Arm, results::Results};

pub async fn run(bench: &Bench, results: &mut Results) {
    if bench.arguments.wants(Arm::Whole) {
        note("whole orders", whole::run(bench, results).await, results);
    }
    if bench.arguments.wants(Arm::Placement) {
        note("placement", placement::run(bench, results).await, results);
    }
    if bench.arguments.wants(Arm::Reads) {
        note("reads", reads::run(bench, results).await, results);
    }
    if bench.arguments.wants(Arm::Reactions) {
        note("reactions", reactions::run(bench, results).await, results);
    }
    if bench.arguments.wants(Arm::Relay) {
        note("relay", relay::run(bench, results).await, results);
    }
    if bench.arguments.wants(Arm::Growth) {
        note("growth", growth::run(bench, results).await, results);
    }
    // Only where it is asked for: it takes as long as all the others.
    if bench.arguments.only.contains(&Arm::Telemetry) {
        note("telemetry", telemetry::run(bench, results).await, results);
    }
}

fn note(arm: &str, outcome: anyhow::Result<()>, results: &mut Results) {
    if let Err(error) = outcome {
        results.must(false, || format!("{arm} failed: {error:#}"));
    }
}
