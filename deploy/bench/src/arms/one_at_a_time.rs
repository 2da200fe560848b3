//! One order at a time: how long until the customer sees it confirmed and paid, and what it costs where nothing is shared.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use super::whole::{Market, Meter};
use crate::Bench;
use crate::http::Connection;
use crate::load::median_and_99th;
use crate::results::Results;
use crate::shop::{self, SKUS};

const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at an order.
const POLL: Duration = Duration::from_millis(1);

pub async fn round(bench: &Bench, market: &mut Market, results: &mut Results) -> anyhow::Result<()> {
    let mut orders = Connection::open(market.orders_port()?).await?;
    let (mut confirmed, mut captured) = (Vec::new(), Vec::new());
    for n in 0..bench.sizes.one_at_a_time {
        let began = Instant::now();
        let id = shop::place(&mut orders, n, SKUS).await?;
        market.placed += 1;
        let path = format!("/api/v1/orders/{id}");
        confirmed.push(seen(&mut orders, &path, began, |order| order["status"] == "confirmed").await?);
        captured.push(seen(&mut orders, &path, began, |order| order["payment"] == "captured").await?);
    }
    for (what, latencies) in [("confirmed", confirmed), ("captured", captured)] {
        if let Some((p50, p99)) = median_and_99th(latencies) {
            results.add(format!("one/{what}/p50_ms"), p50);
            results.add(format!("one/{what}/p99_ms"), p99);
        }
    }
    cost(bench, market, results).await
}

/// When the order's own page shows it first.
async fn seen(
    orders: &mut Connection,
    path: &str,
    began: Instant,
    shows: impl Fn(&Value) -> bool,
) -> anyhow::Result<Duration> {
    loop {
        let (status, answer) = orders.get(path).await?;
        anyhow::ensure!(status == 200, "{path} was answered {status}");
        if shows(&serde_json::from_slice(&answer)?) {
            return Ok(began.elapsed());
        }
        anyhow::ensure!(
            began.elapsed() < PATIENCE,
            "after {PATIENCE:?} {path} is {}",
            String::from_utf8_lossy(&answer)
        );
        sleep(POLL).await;
    }
}

/// The same without looking at the orders, which would be counted: what is waited for is seen in Kafka.
async fn cost(bench: &Bench, market: &mut Market, results: &mut Results) -> anyhow::Result<()> {
    market.all_captured().await?;
    sleep(Duration::from_secs(1)).await; // mails are still sent
    let mut orders = Connection::open(market.orders_port()?).await?;
    let meter = Meter::begin(market).await?;
    for n in 0..bench.sizes.one_at_a_time {
        shop::place(&mut orders, n, SKUS).await?;
        market.placed += 1;
        market.all_captured().await?;
    }
    sleep(Duration::from_millis(200)).await; // those of the last order
    meter.end(market).await?.note("one", results);
    Ok(())
}
