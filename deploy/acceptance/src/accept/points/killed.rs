//! One process killed with -9 half way through 50 orders: all of them are confirmed all the same, charged once.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use quadrille::api::{OrderDraft, PATIENCE};
use quadrille::service::Service;
use tokio::{task::JoinSet, time::sleep};

use crate::shop::Shop;

const ORDERS: usize = 50;

pub(in crate::accept) async fn payment_svc(shop: &Shop) -> anyhow::Result<String> {
    half_way(shop, Service::PaymentSvc).await
}

pub(in crate::accept) async fn order_svc(shop: &Shop) -> anyhow::Result<String> {
    half_way(shop, Service::OrderSvc).await
}

/// A service that is back at once may lead its database again before the standby has noticed, so order-svc is killed,
/// each time with a longer wait before its next start, until the standby leads.
pub(in crate::accept) async fn standby_relay(shop: &Shop) -> anyhow::Result<String> {
    let until = Instant::now() + PATIENCE;
    let (mut kills, mut last) = (0, 0);
    while !standby_leads(shop).await? {
        if Instant::now() >= until {
            bail!("the standby relay doesn't lead after {PATIENCE:?} and {kills} kills of order-svc");
        }
        if shop.process(Service::OrderSvc.name()).is_ok_and(|process| process.pid != last) {
            last = shop.kill(Service::OrderSvc.name())?.pid;
            kills += 1;
        }
        sleep(Duration::from_millis(50)).await;
    }
    let figures = half_way(shop, Service::OutboxRelay).await?;
    Ok(format!("it led after {kills} kills of order-svc; {figures}"))
}

async fn standby_leads(shop: &Shop) -> anyhow::Result<bool> {
    let metrics = shop.api.metrics(Service::OutboxRelay).await?;
    let mut leads =
        metrics.lines().filter(|line| line.starts_with("outbox_relay_leading") && line.contains("order_svc"));
    Ok(leads.any(|line| line.ends_with(" 1")))
}

async fn half_way(shop: &Shop, victim: Service) -> anyhow::Result<String> {
    let mut placing = JoinSet::new();
    let (mut ids, mut killed) = (Vec::with_capacity(ORDERS), None);
    for _ in 0..ORDERS {
        let api = shop.api.clone();
        placing.spawn(async move { api.place(&OrderDraft::default()).await });
        if placing.len() >= 4 {
            ids.push(placing.join_next().await.context("nothing was being placed")???);
        }
        if ids.len() == ORDERS / 2 && killed.is_none() {
            killed = Some((shop.kill(victim.name())?, Instant::now()));
        }
    }
    while let Some(placed) = placing.join_next().await {
        ids.push(placed??);
    }
    let (before, when) = killed.context("nothing was killed")?;
    shop.api.wait_for_all(&ids, "confirmed").await?;
    let confirmed_after = when.elapsed();
    super::must_be_charged_once(&shop.api, &ids).await?;
    back_again(shop, victim, before.pid).await?;
    Ok(format!(
        "{} (pid {}) killed after {} of {ORDERS} orders; all confirmed {:.1} s later, one charge each",
        victim.name(),
        before.pid,
        ORDERS / 2,
        confirmed_after.as_secs_f64()
    ))
}

async fn back_again(shop: &Shop, victim: Service, before: i32) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let back = shop.process(victim.name()).is_ok_and(|now| now.pid != before);
        if back && shop.api.must_be_ready(victim).await.is_ok() {
            return Ok(());
        }
        if Instant::now() >= until {
            bail!("{} is not back after {PATIENCE:?}", victim.name());
        }
        sleep(Duration::from_millis(50)).await;
    }
}
