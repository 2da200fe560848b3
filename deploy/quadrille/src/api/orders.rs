//! Placing, following and cancelling orders.

use std::time::Instant;

use anyhow::{Context, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};

use super::{Api, OrderDraft, PATIENCE, POLL, items, patience::answered, text};
use crate::service::Service;

impl Api {
    pub async fn post_order(&self, wish: &OrderDraft<'_>, key: &str) -> anyhow::Result<(StatusCode, Value)> {
        let request = self.request(Method::POST, Service::OrderSvc, "/api/v1/orders").await?;
        let answer = request.header("Idempotency-Key", key).json(&wish.body()).send().await?;
        let status = answer.status();
        Ok((status, answer.json().await.with_context(|| format!("the answer {status} to an order"))?))
    }

    /// Places an order as a careful client does: with a key, again when the service is away or busy. Returns its id.
    pub async fn place(&self, wish: &OrderDraft<'_>) -> anyhow::Result<String> {
        let key = format!("order-{:016x}", rand::random::<u64>());
        let mut patience = self.patience("placing an order");
        loop {
            match answered(self.post_order(wish, &key).await).context("placing an order")? {
                Ok(order) => return text(&order, "id"),
                Err(why) => patience.again(why).await?,
            }
        }
    }

    /// Many such orders, so many at once.
    pub async fn place_many(&self, count: usize, at_once: usize) -> anyhow::Result<Vec<String>> {
        let mut placing = JoinSet::new();
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            if placing.len() >= at_once {
                ids.push(placing.join_next().await.context("nothing was being placed")???);
            }
            let api = self.clone();
            placing.spawn(async move { api.place(&OrderDraft::default()).await });
        }
        while let Some(placed) = placing.join_next().await {
            ids.push(placed??);
        }
        Ok(ids)
    }

    pub async fn order(&self, id: &str) -> anyhow::Result<Value> {
        self.get(Service::OrderSvc, &format!("/api/v1/orders/{id}")).await
    }

    /// Waits until the order has this status. Fails at once when it ends otherwise.
    pub async fn wait_for(&self, id: &str, status: &str) -> anyhow::Result<Value> {
        let until = Instant::now() + PATIENCE;
        loop {
            let last = match self.order(id).await {
                Ok(order) if order["status"] == status => return Ok(order),
                Ok(order) if matches!(order["status"].as_str(), Some("cancelled" | "completed")) => {
                    bail!("order {id} ended {} ({}) instead of {status}", order["status"], order["reason"])
                }
                other => other,
            };
            if Instant::now() >= until {
                let last = last.map_or_else(|error| format!("{error:#}"), |order| order.to_string());
                bail!("order {id} isn't {status} after {PATIENCE:?}; last: {last}");
            }
            sleep(POLL).await;
        }
    }

    /// Waits for all of them, one after the other: who waits for the last has waited for all.
    pub async fn wait_for_all(&self, ids: &[String], status: &str) -> anyhow::Result<()> {
        for id in ids {
            self.wait_for(id, status).await?;
        }
        Ok(())
    }

    pub async fn cancel(&self, id: &str) -> anyhow::Result<()> {
        let answer = self.post(Service::OrderSvc, &format!("/api/v1/orders/{id}/cancel"), &json!({})).await?;
        if answer.status() != StatusCode::ACCEPTED {
            bail!("cancelling {id} was answered {}: {}", answer.status(), answer.text().await.unwrap_or_default());
        }
        Ok(())
    }

    pub async fn orders_of(&self, customer: &str) -> anyhow::Result<Vec<Value>> {
        let page = self.get(Service::OrderSvc, &format!("/api/v1/orders?limit=1000&customer_id={customer}")).await?;
        items(&page)
    }
}
