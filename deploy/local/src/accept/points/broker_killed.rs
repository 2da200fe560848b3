//! SIGKILL for the embedded broker, and with it every topic, while 50 orders are under way: the services make way, the
//! topics are rebuilt from their archives, all orders are confirmed and charged once.

use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::time::sleep;

use crate::{accept::shop::Shop, api::PATIENCE};

const ORDERS: usize = 50;
const BROKER: &str = "kafka";

pub(in crate::accept) async fn try_out(shop: &mut Shop) -> anyhow::Result<String> {
    let ids = shop.api.place_many(ORDERS, 8).await?;
    let (before, began) = (shop.kill(BROKER)?, Instant::now());
    let mut open = 0;
    for id in &ids {
        // the services may be gone by the time they are asked
        open += usize::from(!shop.api.order(id).await.is_ok_and(|order| order["status"] == "confirmed"));
    }
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
        "broker (pid {}) killed with {open} of {ORDERS} orders open; open again after {back:.1} s, all confirmed after \
         {:.1} s, one charge each",
        before.pid,
        began.elapsed().as_secs_f64()
    ))
}
