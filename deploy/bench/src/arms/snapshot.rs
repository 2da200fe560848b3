//! The shop at saturation while somebody holds a snapshot in every database, as a long report or a backup does: nothing
//! that dies meanwhile can be cleaned up.

use std::time::Instant;

use super::whole::{Market, saturate};
use crate::{Bench, results::Results, stage::Program};

pub async fn run(bench: &Bench, market: &mut Market, results: &mut Results) -> anyhow::Result<()> {
    bench.progress("at saturation, before a snapshot is held");
    results
        .add("snapshot/before/orders_per_second", saturate(market, bench.sizes.saturated).await?.orders_per_second());
    let mut holders = Vec::new();
    for service in Program::SERVICES {
        let holder = market.stage.admin(service.database()).await?;
        holder.batch_execute("begin isolation level repeatable read; select count(*) from outbox").await?;
        holders.push(holder);
    }
    let began = Instant::now();
    let mut last = None;
    while last.is_none() || began.elapsed() < bench.sizes.snapshot {
        bench.progress(&format!("at saturation, a snapshot held for {} s", began.elapsed().as_secs()));
        last = Some(saturate(market, bench.sizes.saturated).await?);
    }
    if let Some(window) = last {
        results.add("snapshot/held/orders_per_second", window.orders_per_second());
        results.add("snapshot/held_for_seconds", began.elapsed().as_secs_f64());
    }
    Ok(())
}
