//! 200 retried and concurrent POSTs with 20 idempotency keys make 20 orders.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail};
use quadrille::api::{OrderDraft, text};
use reqwest::StatusCode;
use tokio::{task::JoinSet, time::sleep};

use crate::shop::Shop;

const KEYS: usize = 20;
const POSTS_A_KEY: usize = 10;
const RETRIES: usize = 200;

pub(in crate::accept) async fn try_out(shop: &Shop) -> anyhow::Result<String> {
    let customer = format!("c-{:08x}", rand::random::<u32>());
    let mut posting = JoinSet::new();
    for post in 0..KEYS * POSTS_A_KEY {
        let (api, customer) = (shop.api.clone(), customer.clone());
        posting.spawn(async move {
            let key = format!("{customer}-{}", post % KEYS);
            let wish = OrderDraft { customer: &customer, ..OrderDraft::default() };
            for retried in 0..RETRIES {
                let (status, answer) = api.post_order(&wish, &key).await?;
                match status {
                    StatusCode::ACCEPTED => return anyhow::Ok((key, answer, retried)),
                    // another one with this key is in flight
                    StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => sleep(Duration::from_millis(10)).await,
                    _ => bail!("answered {status}: {answer}"),
                }
            }
            bail!("still in flight after {RETRIES} retries")
        });
    }
    let (mut answers, mut retries) = (BTreeMap::new(), 0);
    while let Some(posted) = posting.join_next().await {
        let (key, answer, retried) = posted??;
        retries += retried;
        let first = answers.entry(key.clone()).or_insert_with(|| answer.clone());
        if *first != answer {
            bail!("key {key} was answered with {first} and with {answer}");
        }
    }
    let orders = shop.api.orders_of(&customer).await?;
    if orders.len() != KEYS || answers.len() != KEYS {
        bail!("{} keys made {} orders", answers.len(), orders.len());
    }
    let ids = answers.values().map(|order| text(order, "id")).collect::<anyhow::Result<Vec<_>>>()?;
    shop.api.wait_for_all(&ids, "confirmed").await?;
    super::must_be_charged_once(&shop.api, &ids).await.context("charges")?;
    Ok(format!(
        "{} POSTs ({retries} of them retried) with {KEYS} keys made {} orders, each charged once",
        KEYS * POSTS_A_KEY,
        orders.len()
    ))
}
