//! One `up`, as the README says it, and the whole shop is well.

use std::time::{Duration, Instant};

use anyhow::ensure;
use quadrille::service::Service;

use super::super::buyer;
use super::super::stack::{Stack, with_a_door};
use super::super::tour::{Kind, Tour};

const WITHIN: Duration = Duration::from_secs(240);
/// What must be there beside the services that have a port.
const BESIDE: [&str; 10] = [
    "postgres",
    "kafka",
    "databases",
    "topics",
    "principals",
    "catalogue",
    "order-relay",
    "stock-relay",
    "payment-relay",
    "notification-relay",
];

/// Starts it; used again after `down`.
pub(in crate::compose_test) async fn try_out(stack: &Stack, tour: &mut Tour) -> anyhow::Result<String> {
    let began = Instant::now();
    tour.run_any(Kind::Images).await?;
    tour.run(Kind::Up).await?;
    let returned = began.elapsed();
    let count = stack.until_well(WITHIN).await?;
    for name in with_a_door().map(Service::name).chain(BESIDE) {
        stack.only(name).await?;
    }
    for service in with_a_door() {
        stack.api.must_be_ready(service).await?;
    }
    Ok(format!(
        "`up` returned after {:.0} s, {count} containers well after {:.0} s",
        returned.as_secs_f64(),
        began.elapsed().as_secs_f64()
    ))
}

pub(in crate::compose_test) async fn add_products(stack: &Stack) -> anyhow::Result<String> {
    stack.api.add_product(buyer::SKU, buyer::ON_HAND).await?;
    stack.api.add_product(buyer::SHORT_SKU, buyer::SHORT_ON_HAND).await?;
    let products = stack.api.all(Service::StockSvc, "/api/v1/products?").await?.len();
    ensure!(products > 2, "the catalogue is empty");
    Ok(format!("{products} products, two of them the test's own"))
}
