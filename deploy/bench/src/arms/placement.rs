//! Placing orders over HTTP, and pgbench with the very statements that placing runs, each alone on the machine.

use std::time::Duration;

use super::pgbench::Script;
use crate::http::Connection;
use crate::load::{self, median_and_99th};
use crate::results::Results;
use crate::shop::{self, SKUS, list_products};
use crate::stage::{Program, Running, Stage, number, until};
use crate::statements::{self, between};
use crate::watch::Watch;
use crate::{Bench, usage};

const PATIENCE: Duration = Duration::from_secs(120);

pub async fn run(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    bench.progress("starting order-svc for placement");
    let stage = Stage::open(bench, "placement", &[]).await?;
    let stock = stage.start(Program::StockSvc, &[]).await?;
    let orders = stage.start(Program::OrderSvc, &[]).await?;
    list_products(&stage, stock.port, 0..SKUS).await?;
    stock.stop().await?;
    orders.stop().await?;
    let watch = Watch::start(&stage.kafka.bootstrap(), &["orders.v1"])?;
    let script = match Script::of_placing(&stage).await {
        Ok(script) => Some(script),
        Err(error) => {
            results.skipped.push(format!("pgbench beside placement: {error:#}"));
            None
        }
    };
    let orders = stage.start(Program::OrderSvc, &[]).await?;
    let mut placed = watch_settles(&watch).await?;
    if let Some(script) = &script {
        std::fs::write(bench.arguments.out.join("placement.sql"), script.text())?;
    }
    for round in 1..=bench.sizes.rounds {
        for connections in bench.sizes.connections {
            bench.progress(&format!("placement over {connections} connections, round {round}"));
            placed += over_http(bench, &stage, &orders, *connections, results).await?;
            if let Some(script) = &script {
                let a_second = script.run(&stage, *connections, bench.sizes.placing).await?;
                results.add(format!("placement/{connections}/pgbench_per_second"), a_second);
            }
        }
    }
    watch.wait_for("order.placed.v1", placed, PATIENCE).await?;
    let found = watch.count("order.placed.v1");
    results.must(found == placed, || format!("{placed} orders were placed, {found} came to orders.v1"));
    for fault in watch.faults() {
        results.must(false, || fault);
    }
    drop(watch);
    orders.stop().await?;
    stage.close().await
}

/// Orders that were placed to see what placing runs.
async fn watch_settles(watch: &Watch) -> anyhow::Result<usize> {
    watch.wait_for("order.placed.v1", super::pgbench::SAMPLES, PATIENCE).await?;
    Ok(watch.count("order.placed.v1"))
}

async fn over_http(
    bench: &Bench,
    stage: &Stage,
    orders: &Running,
    connections: usize,
    results: &mut Results,
) -> anyhow::Result<usize> {
    let (admin, database) = (stage.admin("postgres").await?, stage.admin(Program::OrderSvc.database()).await?);
    shop::place(&mut Connection::open(orders.port).await?, 0, SKUS).await?;
    let (work, cpu) = (statements::by_database(&admin).await?, usage::cpu(orders.pid()));
    let began = std::time::Instant::now();
    let placed = load::closed(orders.port, connections, bench.sizes.placing, SKUS).await?;
    let seconds = began.elapsed().as_secs_f64();
    let (cpu, after) = (usage::cpu(orders.pid()) - cpu, statements::by_database(&admin).await?);
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let count = placed.len() as f64;
    let name = format!("placement/{connections}");
    results.add(format!("{name}/http_per_second"), count / seconds);
    results.add(format!("{name}/own_cpu/ms_per_order"), cpu.as_secs_f64() * 1_000.0 / count);
    if let Some(work) = between(&work, &after).get(Program::OrderSvc.database()) {
        results.add(format!("{name}/statements_per_order"), work.statements / count);
    }
    if let Some((p50, p99)) = median_and_99th(placed.iter().map(|order| order.answered - order.intended).collect()) {
        results.add(format!("{name}/p50_ms"), p50);
        results.add(format!("{name}/p99_ms"), p99);
    }
    // what the relay has left over is not to stand beside pgbench
    until("the outbox is empty", PATIENCE, async || Ok(number(&database, "select count(*) from outbox").await? == 0))
        .await?;
    Ok(placed.len() + 1)
}
