//! The same rates while tables grow: orders, inboxes, timers of a shop at saturation, and pending rows before a relay.

use std::time::Duration;

use anyhow::Context;

use super::relay;
use super::whole::{Market, saturate};
use crate::results::Results;
use crate::shop::SKUS;
use crate::stage::{Program, number};
use crate::{Bench, load};

const CONNECTIONS: usize = 8;

pub async fn run(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    shop(bench, results).await?;
    relay::growth(bench, results).await
}

async fn shop(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    let mut market = Market::open(bench, "growth").await?;
    saturate(&mut market, bench.sizes.saturated / 4).await?;
    let steps = bench.sizes.growth();
    for rows in &steps {
        bench.progress(&format!("growing orders, inboxes and timers to {rows} rows"));
        grow(&market, *rows).await?;
        let admin = market.stage.admin("postgres").await?;
        admin.batch_execute("select /* quadrille-bench */ pg_stat_statements_reset()").await?;
        let mut names = vec![rows.to_string()];
        names.extend((Some(rows) == steps.first()).then(|| "least".to_owned()));
        names.extend((Some(rows) == steps.last()).then(|| "most".to_owned()));
        for round in 1..=bench.sizes.long_rounds {
            bench.progress(&format!("at saturation and placing with {rows} rows, round {round}"));
            let whole = saturate(&mut market, bench.sizes.saturated).await?.orders_per_second();
            let placed = load::closed(market.orders_port()?, CONNECTIONS, bench.sizes.placing, SKUS).await?.len();
            market.placed += placed;
            market.all_captured().await?;
            #[expect(clippy::cast_precision_loss, reason = "thousands")]
            let placing = placed as f64 / bench.sizes.placing.as_secs_f64();
            for name in &names {
                results.add(format!("growth/orders/{name}/per_second"), whole);
                results.add(format!("growth/placement/{name}/per_second"), placing);
            }
        }
        let look = looks_for_timers(&market).await?;
        for running in &market.shop.running {
            if let Some((now, _)) = crate::usage::memory(running.pid()) {
                results.add(format!("growth/{rows}/memory/{}_mb", running.program.name()), now);
            }
        }
        for name in &names {
            results.add(format!("growth/timers/{name}/look_ms"), look);
        }
    }
    market.check(results).await?;
    market.close().await
}

/// How long the dearest statement takes that looks for timers.
async fn looks_for_timers(market: &Market) -> anyhow::Result<f64> {
    let admin = market.stage.admin("postgres").await?;
    let look = "select /* quadrille-bench */ coalesce(max(mean_exec_time), 0)::float8 from pg_stat_statements \
        where query ilike '%from timers%' and query not like '%quadrille-bench%' and calls > 1 \
        and dbid = (select oid from pg_database where datname = 'order_svc')";
    Ok(admin.query_one(look, &[]).await?.get(0))
}

async fn grow(market: &Market, rows: i64) -> anyhow::Result<()> {
    // of an order or event of the last minutes all but the time is made anew, so that what comes later comes behind it
    let uuid = |column: &str| format!("overlay({column}::text placing substr(gen_random_uuid()::text, 16) from 16)");
    let order = [("id", format!("{}::uuid", uuid("id")))];
    multiply(market, Program::OrderSvc, "orders", &order, rows).await?;
    for service in Program::SERVICES {
        let event = [("event_id", format!("{}::uuid", uuid("event_id")))];
        multiply(market, service, "inbox", &event, rows).await?;
    }
    for (service, kind) in [(Program::OrderSvc, "order_deadline"), (Program::StockSvc, "reservation_expiry")] {
        let admin = market.stage.admin(service.database()).await?;
        let there = number(&admin, "select count(*) from timers").await?;
        // none is due before the run ends
        let insert = format!(
            "insert into timers (kind, key, key_hash, due_at) select '{kind}', gen_random_uuid()::text, \
                (random() * 2000000000)::integer, now() + interval '1 day' * (1 + random()) \
             from generate_series({there} + 1, {rows})"
        );
        admin.batch_execute(&insert).await.with_context(|| format!("timers of {}", service.name()))?;
        admin.batch_execute("vacuum analyze timers").await?;
    }
    Ok(())
}

/// Copies of rows that are there, with other values in some columns, until the table has so many.
async fn multiply(
    market: &Market,
    service: Program,
    table: &str,
    other: &[(&str, String)],
    rows: i64,
) -> anyhow::Result<()> {
    const SEEDS: i64 = 100;
    let admin = market.stage.admin(service.database()).await?;
    let there = number(&admin, &format!("select count(*) from {table}")).await?;
    if there >= rows {
        return Ok(());
    }
    if there == 0 {
        anyhow::bail!("{} has nothing in {table} to multiply", service.name());
    }
    let columns = admin
        .query(
            "select column_name::text from information_schema.columns \
             where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER' order by ordinal_position",
            &[&table],
        )
        .await?;
    let columns: Vec<String> = columns.iter().map(|row| row.get(0)).collect();
    let value = |column: &String| {
        other.iter().find(|(name, _)| name == column).map_or_else(|| column.clone(), |(_, value)| value.clone())
    };
    let values: Vec<_> = columns.iter().map(value).collect();
    let times = (rows - there + there.min(SEEDS) - 1) / there.min(SEEDS);
    let insert = format!(
        "insert into {table} ({}) select {} from (select * from {table} limit {SEEDS}) seed, generate_series(1, {times})",
        columns.join(", "),
        values.join(", ")
    );
    admin.batch_execute(&insert).await.with_context(|| format!("multiplying {table} of {}", service.name()))?;
    admin.batch_execute(&format!("vacuum analyze {table}")).await?;
    admin.batch_execute("checkpoint").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}
