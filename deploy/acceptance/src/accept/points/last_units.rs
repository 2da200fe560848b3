//! 20 clients order the last 10 units of one SKU: exactly 10 succeed, and `available` is never below 0.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use quadrille::api::{Api, OrderDraft, PATIENCE, number};
use tokio::{task::JoinSet, time::sleep};

use crate::shop::Shop;

const SKU: &str = "ACCEPT-LAST-UNITS";
const UNITS: u32 = 10;
const CLIENTS: usize = 20;

pub(in crate::accept) async fn try_out(shop: &Shop) -> anyhow::Result<String> {
    shop.api.add_product(SKU, UNITS).await?;
    let done = Arc::new(AtomicBool::new(false));
    let sampler = tokio::spawn(sample(shop.api.clone(), Arc::clone(&done)));
    let outcome = order_all(&shop.api).await;
    done.store(true, Ordering::Relaxed);
    let (samples, lowest) = sampler.await??;
    let (confirmed, refused) = outcome?;
    if (confirmed, refused) != (10, 10) {
        bail!("{confirmed} orders were confirmed and {refused} were out of stock");
    }
    if lowest < 0 {
        bail!("available fell to {lowest}");
    }
    Ok(format!(
        "{confirmed} of {CLIENTS} confirmed, {refused} out of stock; available sampled {samples} times, lowest {lowest}"
    ))
}

async fn sample(api: Api, done: Arc<AtomicBool>) -> anyhow::Result<(usize, i64)> {
    let (mut samples, mut lowest) = (0, i64::MAX);
    loop {
        let last = done.load(Ordering::Relaxed);
        lowest = lowest.min(number(&api.product(SKU).await?, "available")?);
        samples += 1;
        if last {
            return Ok((samples, lowest));
        }
        sleep(Duration::from_millis(2)).await;
    }
}

async fn order_all(api: &Api) -> anyhow::Result<(usize, usize)> {
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let api = api.clone();
        clients.spawn(async move {
            let order = api.place(&OrderDraft { sku: SKU, ..OrderDraft::default() }).await?;
            outcome(&api, &order).await
        });
    }
    let (mut confirmed, mut refused) = (0, 0);
    while let Some(is_confirmed) = clients.join_next().await {
        if is_confirmed?? { confirmed += 1 } else { refused += 1 }
    }
    Ok((confirmed, refused))
}

async fn outcome(api: &Api, id: &str) -> anyhow::Result<bool> {
    let until = Instant::now() + PATIENCE;
    loop {
        let order = api.order(id).await?;
        match (order["status"].as_str(), order["reason"].as_str()) {
            (Some("confirmed"), _) => return Ok(true),
            (Some("cancelled"), Some("out_of_stock")) => return Ok(false),
            (Some("cancelled"), reason) => bail!("order {id} was cancelled with reason {reason:?}"),
            _ if Instant::now() >= until => bail!("order {id} is undecided after {PATIENCE:?}: {order}"),
            _ => sleep(Duration::from_millis(20)).await,
        }
    }
}
