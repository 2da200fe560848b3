//! SIGKILL for the embedded broker, and with it every topic, while 50 orders are under way: the services make way, the
//! topics are rebuilt from their archives, all orders are confirmed and charged once.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use nix::sys::signal::Signal;
use quadrille::api::PATIENCE;
use quadrille_servers::process::Identity;
use tokio::time::sleep;

use crate::shop::Shop;

const ORDERS: usize = 50;
const BROKER: &str = "kafka";

pub(in crate::accept) async fn try_out(shop: &mut Shop) -> anyhow::Result<String> {
    // so that none is confirmed before the broker is gone
    let gateway = shop.process("sandbox-gateway")?;
    gateway.signal(Signal::SIGSTOP);
    let killed = killed_with_orders_open(shop).await;
    gateway.signal(Signal::SIGCONT);
    let (ids, before) = killed?;
    let began = Instant::now();
    while !shop.process(BROKER).is_ok_and(|now| now.pid != before.pid) {
        if began.elapsed() >= PATIENCE {
            bail!("the broker is not back after {PATIENCE:?}");
        }
        sleep(Duration::from_millis(50)).await;
    }
    shop.wait_until_open().await?;
    let back = began.elapsed().as_secs_f64();
    shop.api.wait_for_all(&ids, "confirmed").await?;
    super::must_be_charged_once(&shop.api, &ids).await?;
    Ok(format!(
        "broker (pid {}) killed with {ORDERS} orders open; open again after {back:.1} s, all confirmed after \
         {:.1} s, one charge each",
        before.pid,
        began.elapsed().as_secs_f64()
    ))
}

async fn killed_with_orders_open(shop: &Shop) -> anyhow::Result<(Vec<String>, Identity)> {
    let ids = shop.api.place_many(ORDERS, 8).await?;
    for id in &ids {
        let order = shop.api.order(id).await?;
        ensure!(order["status"] == "pending", "order {id} is {} already", order["status"]);
    }
    Ok((ids, shop.kill(BROKER)?))
}
