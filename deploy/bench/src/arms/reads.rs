//! Looking up a product, the catalogue's first page and an order over HTTP. Beside each: the same server's route that asks nothing
//! of PostgreSQL, and pgbench with the statements that the look-up runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

use super::{pgbench::Script, whole::Market};
use crate::http::Connection;
use crate::load::{self, median_and_99th};
use crate::results::Results;
use crate::shop::{SKUS, list_products, sku};
use crate::stage::Program;
use crate::statements::{self, between};
use crate::{Bench, usage};

const CONNECTIONS: usize = 32;
/// How many products a page has where it isn't said.
const PAGE: usize = 50;
/// More than anything that a shop without customers does within two seconds.
const SAMPLES: usize = 40;
/// Asks nothing of PostgreSQL.
const CHEAPEST: &str = "/healthz";

/// Something that is looked up.
struct LookUp {
    name: String,
    program: Program,
    paths: Arc<[String]>,
    /// By these it is seen what a look-up runs. They differ, so that none is answered with what was kept of another.
    samples: Vec<String>,
    script: Option<Script>,
}

pub async fn run(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    let mut market = Market::open(bench, "reads").await?;
    bench.progress("listing products and placing orders, to look them up");
    list_products(&market.stage, market.shop.port(Program::StockSvc)?, SKUS..bench.sizes.looked_up).await?;
    let placed = load::many(market.orders_port()?, CONNECTIONS, bench.sizes.looked_up, SKUS).await?;
    market.placed += placed.len();
    market.all_captured().await?;

    let products = (0..bench.sizes.looked_up).map(|n| format!("/api/v1/products/{}", sku(n)));
    let orders = placed.iter().map(|order| format!("/api/v1/orders/{}", order.id));
    let look_up = |name: &str, program, paths: Arc<[String]>| {
        let samples = paths.iter().take(SAMPLES).cloned().collect();
        LookUp { name: name.to_owned(), program, paths, samples, script: None }
    };
    // the one in the middle has the length of a page
    let pages = (PAGE - SAMPLES / 2..PAGE + SAMPLES / 2).map(|limit| format!("/api/v1/products?limit={limit}"));
    let catalogue = look_up("catalogue", Program::StockSvc, ["/api/v1/products".to_owned()].into());
    let mut of_stock =
        [look_up("product", Program::StockSvc, products.collect()), LookUp { samples: pages.collect(), ..catalogue }];
    let mut of_orders = [look_up("order", Program::OrderSvc, orders.collect())];
    bench.progress("seeing what each look-up runs");
    for look_ups in [&mut of_stock[..], &mut of_orders] {
        must_be_found(&market, look_ups, results).await?;
        if let Err(error) = take_scripts(&market, look_ups).await {
            results.skipped.push(format!("pgbench beside look-ups: {error:#}"));
        }
    }
    let cheapest = [Program::StockSvc, Program::OrderSvc]
        .map(|program| look_up(&format!("{}{CHEAPEST}", program.name()), program, [CHEAPEST.to_owned()].into()));
    let look_ups: Vec<_> = of_stock.into_iter().chain(of_orders).chain(cheapest).collect();
    for look_up in &look_ups {
        asked(&market, look_up, bench.sizes.reading / 4, &mut Results::default()).await?; // connections and plans
    }
    for round in 1..=bench.sizes.rounds {
        bench.progress(&format!("looking up over {CONNECTIONS} connections, round {round}"));
        for look_up in &look_ups {
            asked(&market, look_up, bench.sizes.reading, results).await?;
            if let Some(script) = &look_up.script {
                let a_second = script.run(&market.stage, CONNECTIONS, bench.sizes.reading).await?;
                results.add(format!("reads/{}/pgbench_per_second", look_up.name), a_second);
            }
        }
    }
    market.check(results).await?;
    market.close().await
}

async fn must_be_found(market: &Market, look_ups: &[LookUp], results: &mut Results) -> anyhow::Result<()> {
    for LookUp { program, paths, .. } in look_ups {
        let path = paths.first().context("something to look up")?;
        let (status, answer) = Connection::open(market.shop.port(*program)?).await?.get(path).await?;
        let answer: Value = serde_json::from_slice(&answer).with_context(|| format!("{path} was answered {status}"))?;
        let key = path.rsplit('/').next().unwrap_or_default();
        let is_it = answer["sku"] == key || answer["id"] == key;
        let found = is_it || answer["items"].as_array().is_some_and(|items| items.len() == PAGE);
        results.must(status == 200 && found, || format!("{path} was answered {status} with {answer}"));
    }
    Ok(())
}

/// What pgbench runs beside each of these look-ups, which are one program's.
async fn take_scripts(market: &Market, look_ups: &mut [LookUp]) -> anyhow::Result<()> {
    let program = look_ups.first().context("something to look up")?.program;
    let samples: Vec<_> = look_ups.iter().map(|look_up| look_up.samples.as_slice()).collect();
    let scripts = Script::of_reading(&market.stage, program, &samples).await?;
    for (look_up, script) in look_ups.iter_mut().zip(scripts) {
        look_up.script = Some(script);
    }
    Ok(())
}

/// Asks for so long over all connections, each as soon as its last answer is there.
async fn asked(market: &Market, look_up: &LookUp, lasts: Duration, results: &mut Results) -> anyhow::Result<()> {
    let LookUp { name, program, paths, .. } = look_up;
    let running =
        market.shop.running.iter().find(|running| running.program == *program).context("a running service")?;
    let processes =
        [("service".to_owned(), running.pid()), ("postgresql".to_owned(), market.stage.postgres.identity().pid)];
    let admin = market.stage.admin("postgres").await?;
    let (work, cpu, began) = (statements::by_database(&admin).await?, usage::cpu_of(&processes), Instant::now());
    let took = load::reads(running.port, CONNECTIONS, lasts, paths).await?;
    let (seconds, cpu_after) = (began.elapsed().as_secs_f64(), usage::cpu_of(&processes));
    let work = between(&work, &statements::by_database(&admin).await?);
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let count = took.len() as f64;
    results.add(format!("reads/{name}/per_second"), count / seconds);
    for (process, after) in cpu_after {
        let used = after.saturating_sub(cpu.get(&process).copied().unwrap_or_default());
        results.add(format!("reads/{name}/cpu/{process}/us_per_read"), used.as_secs_f64() * 1_000_000.0 / count);
    }
    if let Some(work) = work.get(program.database()) {
        results.add(format!("reads/{name}/statements_per_read"), work.statements / count);
    }
    if let Some((p50, p99)) = median_and_99th(took) {
        results.add(format!("reads/{name}/p50_ms"), p50);
        results.add(format!("reads/{name}/p99_ms"), p99);
    }
    Ok(())
}
