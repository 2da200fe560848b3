//! A shop in which nothing happens, and how long its programs take to start.

use tokio::time::sleep;

use super::whole::Market;
use crate::results::Results;
use crate::stage::Program;
use crate::statements::{self, between};
use crate::{Bench, usage};

pub async fn run(bench: &Bench, market: &mut Market, results: &mut Results) -> anyhow::Result<()> {
    sleep(bench.sizes.idle / 4).await; // what is left to do after the load
    for round in 1..=bench.sizes.long_rounds {
        bench.progress(&format!("idle, round {round}"));
        idle(bench, market, results).await?;
    }
    for round in 1..=bench.sizes.rounds {
        bench.progress(&format!("starting each program, round {round}"));
        start(market, results).await?;
    }
    Ok(())
}

async fn idle(bench: &Bench, market: &Market, results: &mut Results) -> anyhow::Result<()> {
    let admin = market.stage.admin("postgres").await?;
    let sandbox = crate::stage::connect(&market.shop.sandbox_postgres.url("postgres")).await?;
    sandbox.batch_execute("create extension if not exists pg_stat_statements").await?;
    let processes = market.shop.processes(&market.stage);
    let (work, other) = (statements::by_database(&admin).await?, statements::by_database(&sandbox).await?);
    let before = usage::cpu_of(&processes);
    sleep(bench.sizes.idle).await;
    let after = usage::cpu_of(&processes);
    let seconds = bench.sizes.idle.as_secs_f64();
    let mut own = 0.0;
    for (name, after) in after {
        let used = after.saturating_sub(before.get(&name).copied().unwrap_or_default());
        let percent = used.as_secs_f64() / seconds * 100.0;
        results.add(format!("idle/{name}/percent_of_a_core"), percent);
        own += if Program::ALL.iter().any(|program| program.name() == name) { percent } else { 0.0 };
    }
    results.add("idle/own_processes/percent_of_a_core", own);
    let asked = between(&work, &statements::by_database(&admin).await?).into_values();
    let asked = asked.chain(between(&other, &statements::by_database(&sandbox).await?).into_values());
    results.add("idle/statements_per_second", asked.map(|work| work.statements).sum::<f64>() / seconds);
    Ok(())
}

/// Ends each program and starts it again on the same data.
async fn start(market: &mut Market, results: &mut Results) -> anyhow::Result<()> {
    for place in 0..market.shop.running.len() {
        let stopped = market.shop.running.remove(place);
        let started = stopped.start_again(&market.stage).await?;
        let name = started.program.name();
        results.add(format!("start/{name}/bound_ms"), started.bound_after.as_secs_f64() * 1_000.0);
        results.add(format!("start/{name}/ready_ms"), started.ready_after.as_secs_f64() * 1_000.0);
        if let Some((now, _)) = usage::memory(started.pid()) {
            results.add(format!("start/{name}/memory_mb"), now);
        }
        market.shop.running.insert(place, started);
    }
    Ok(())
}
