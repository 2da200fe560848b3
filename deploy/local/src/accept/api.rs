//! The shop's HTTP interfaces, as a client outside sees them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};

use crate::{addresses::Addresses, service::Service};

/// Nobody in this run may wait longer for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(5);
/// A product of the catalogue that every run begins with, 12.99 EUR.
pub(super) const TEA: &str = "TEA-EARL-GREY-250";

/// A client of one run.
#[derive(Debug, Clone, Default)]
pub(super) struct Api {
    client: Client,
    urls: BTreeMap<String, String>,
}

/// What to order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'a> {
    pub sku: &'a str,
    pub quantity: u32,
    pub payment_method: &'a str,
    pub customer: &'a str,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Self { sku: TEA, quantity: 1, payment_method: "pm_card_visa", customer: "c-accept" }
    }
}

impl Wish<'_> {
    pub fn body(&self) -> Value {
        json!({
            "customer": {"id": self.customer, "name": "Ann Lee", "email": "ann@example.com"},
            "delivery_address": {"line1": "1 Quay St", "city": "Cork", "postal_code": "T12", "country": "IE"},
            "currency": "EUR",
            "lines": [{"sku": self.sku, "quantity": self.quantity}],
            "payment_method": self.payment_method,
        })
    }
}

/// Money by gateway operation for one order, in minor units, with the number of effects.
pub(super) type Journal = BTreeMap<String, (i64, usize)>;

impl Api {
    pub fn new(addresses: &Addresses) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(Duration::from_secs(15)).build()?;
        let urls = addresses.services.iter().map(|(name, address)| (name.clone(), address.url.clone())).collect();
        Ok(Self { client, urls })
    }

    fn url(&self, service: Service, path: &str) -> anyhow::Result<String> {
        let base = self.urls.get(service.name()).with_context(|| format!("no address of {}", service.name()))?;
        Ok(format!("{base}{path}"))
    }

    async fn get(&self, service: Service, path: &str) -> anyhow::Result<Value> {
        let url = self.url(service, path)?;
        json_of(self.client.get(&url).send().await.with_context(|| format!("GET {url}"))?).await
    }

    async fn post(&self, service: Service, path: &str, body: &Value) -> anyhow::Result<Response> {
        let url = self.url(service, path)?;
        self.client.post(&url).json(body).send().await.with_context(|| format!("POST {url}"))
    }

    pub async fn must_be_ready(&self, service: Service) -> anyhow::Result<()> {
        self.get(service, "/readyz").await.with_context(|| format!("{} isn't ready", service.name())).map(|_| ())
    }

    pub async fn metrics(&self, service: Service) -> anyhow::Result<String> {
        let url = self.url(service, "/metrics")?;
        Ok(self.client.get(url).send().await?.error_for_status()?.text().await?)
    }

    /// One POST with an idempotency key.
    pub async fn post_order(&self, wish: &Wish<'_>, key: &str) -> anyhow::Result<(StatusCode, Value)> {
        let url = self.url(Service::OrderSvc, "/api/v1/orders")?;
        let answer = self.client.post(&url).header("Idempotency-Key", key).json(&wish.body()).send().await?;
        let status = answer.status();
        Ok((status, answer.json().await.with_context(|| format!("the answer {status} of POST {url}"))?))
    }

    /// Places an order as a careful client does: with a key, again when the service is away or busy. Returns its id.
    pub async fn place(&self, wish: &Wish<'_>) -> anyhow::Result<String> {
        let key = format!("accept-{:016x}", rand::random::<u64>());
        let until = Instant::now() + PATIENCE;
        loop {
            let last = match self.post_order(wish, &key).await {
                Ok((StatusCode::ACCEPTED, order)) => return text(&order, "id"),
                Ok((status, answer)) if !is_passing(status) => {
                    bail!("placing an order was answered {status}: {answer}")
                }
                Ok((status, answer)) => format!("{status}: {answer}"),
                Err(error) => format!("{error:#}"),
            };
            if Instant::now() >= until {
                bail!("an order could not be placed within {PATIENCE:?}; last: {last}");
            }
            sleep(Duration::from_millis(50)).await;
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
            placing.spawn(async move { api.place(&Wish::default()).await });
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

    pub async fn product(&self, sku: &str) -> anyhow::Result<Value> {
        self.get(Service::StockSvc, &format!("/api/v1/products/{sku}")).await
    }

    /// Adds a product and waits until order-svc has heard of it.
    pub async fn add_product(&self, sku: &str, on_hand: u32) -> anyhow::Result<()> {
        let body = json!({
            "sku": sku, "name": "For the acceptance run", "description": "Made to be ordered", "category": null,
            "price": {"amount": 500, "currency": "EUR"}, "on_hand": on_hand,
        });
        json_of(self.post(Service::StockSvc, "/api/v1/products", &body).await?).await?;
        let until = Instant::now() + PATIENCE;
        while self.is_unknown_to_orders(sku).await? {
            if Instant::now() >= until {
                bail!("order-svc doesn't know {sku} after {PATIENCE:?}");
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Whether order-svc says of this SKU what it says of one that doesn't exist.
    pub async fn is_unknown_to_orders(&self, sku: &str) -> anyhow::Result<bool> {
        const NOWHERE: &str = "ACCEPT-NOWHERE";
        Ok(self.refusal(sku).await?.replace(sku, NOWHERE) == self.refusal(NOWHERE).await?)
    }

    /// What is said of an order in a currency that nothing is sold in here, so that none is ever placed by asking.
    async fn refusal(&self, sku: &str) -> anyhow::Result<String> {
        let mut body = Wish { sku, ..Wish::default() }.body();
        body["currency"] = json!("JPY");
        let answer = self.post(Service::OrderSvc, "/api/v1/orders", &body).await?;
        if answer.status() != StatusCode::UNPROCESSABLE_ENTITY {
            bail!("asking about {sku} was answered {}", answer.status());
        }
        Ok(answer.json::<Value>().await?["errors"].to_string())
    }

    pub async fn shipment_of(&self, order: &str) -> anyhow::Result<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let page = self.get(Service::StockSvc, &format!("/api/v1/shipments?order_id={order}")).await?;
            if let Some(shipment) = items(&page)?.first() {
                return text(shipment, "id");
            }
            if Instant::now() >= until {
                bail!("order {order} has no shipment after {PATIENCE:?}");
            }
            sleep(POLL).await;
        }
    }

    pub async fn ship(&self, shipment: &str, step: &str, body: &Value) -> anyhow::Result<()> {
        json_of(self.post(Service::StockSvc, &format!("/api/v1/shipments/{shipment}/{step}"), body).await?)
            .await
            .map(|_| ())
    }

    pub async fn notifications(&self, order: &str) -> anyhow::Result<Vec<Value>> {
        items(&self.get(Service::NotificationSvc, &format!("/api/v1/notifications?order_id={order}")).await?)
    }

    /// The gateway's whole journal, by order.
    pub async fn journal(&self) -> anyhow::Result<BTreeMap<String, Journal>> {
        let mut by_order = BTreeMap::<String, Journal>::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(Service::SandboxGateway, &format!("/sandbox/journal?limit=1000{cursor}")).await?;
            for line in items(&page)? {
                let of_order = by_order.entry(text(&line, "order_id")?).or_default();
                let sum = of_order.entry(text(&line, "operation")?).or_default();
                sum.0 += number(&line, "amount")?;
                sum.1 += 1;
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(by_order),
            }
        }
    }
}

fn is_passing(status: StatusCode) -> bool {
    matches!(status, StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
}

async fn json_of(answer: Response) -> anyhow::Result<Value> {
    let (status, url) = (answer.status(), answer.url().clone());
    if !status.is_success() {
        bail!("{url} answered {status}: {}", answer.text().await.unwrap_or_default());
    }
    answer.json().await.with_context(|| format!("the answer of {url}"))
}

fn items(page: &Value) -> anyhow::Result<Vec<Value>> {
    page["items"].as_array().cloned().with_context(|| format!("no items in {page}"))
}

/// A field that must be a text.
pub(super) fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    value[field].as_str().map(str::to_owned).with_context(|| format!("no {field} in {value}"))
}

/// A field that must be a number.
pub(super) fn number(value: &Value, field: &str) -> anyhow::Result<i64> {
    value[field].as_i64().with_context(|| format!("no {field} in {value}"))
}
