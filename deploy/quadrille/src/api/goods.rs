//! Products and parcels.

use std::time::Instant;

use anyhow::bail;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Api, OrderDraft, PATIENCE, POLL, items, json_of, text};
use crate::service::Service;

impl Api {
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

    /// How order-svc refuses an order in a currency that nothing is sold in here, so that asking never places one.
    async fn refusal(&self, sku: &str) -> anyhow::Result<String> {
        let mut body = OrderDraft { sku, ..OrderDraft::default() }.body();
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
}
