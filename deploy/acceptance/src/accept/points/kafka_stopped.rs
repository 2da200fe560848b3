//! Kafka stopped while 50 orders are placed, then started: all confirmed. The broker is ours here, so that nobody starts it
//! again before its time.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use quadrille_servers::{Durability, Kafka, kafka};

use crate::shop::Shop;

const ORDERS: usize = 50;
const STOP_PATIENCE: Duration = Duration::from_secs(15);

pub(in crate::accept) async fn try_out(binary: &Path, data: &Path) -> anyhow::Result<String> {
    let folder = data.join("shop").join("kafka");
    let mut options = kafka::Options { folder, port: None, durability: Durability::Real, jars: None };
    let node = Kafka::start(&options).await?;
    options.port = Some(node.port());
    let mut shop = Shop::start(binary, data, &["--kafka", &node.bootstrap()]).await?;
    node.stop(STOP_PATIENCE).await?;
    let ids = shop.api.place_many(ORDERS, 8).await.context("placing orders with Kafka away")?;
    for id in &ids {
        let order = shop.api.order(id).await?;
        if order["status"] != "pending" {
            bail!("with Kafka away order {id} is {}", order["status"]);
        }
    }
    let node = Kafka::start(&options).await?;
    let began = std::time::Instant::now();
    shop.api.wait_for_all(&ids, "confirmed").await?;
    let took = began.elapsed();
    super::must_be_charged_once(&shop.api, &ids).await?;
    let drained = shop.stop().await?;
    node.stop(STOP_PATIENCE).await?;
    Ok(format!(
        "{ORDERS} orders placed with Kafka away, all confirmed {:.1} s after it was back; ended {:.1} s after Ctrl-C",
        took.as_secs_f64(),
        drained.as_secs_f64()
    ))
}
