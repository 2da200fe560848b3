//! A shop of a test's own, as a person runs it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::format_push_string,
    reason = "shared by several test programs"
)]

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use quadrille::addresses::Addresses;
use quadrille_acceptance::{program, shop::Shop};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use service_kit::testing::eventually;

pub const PATIENCE: Duration = Duration::from_secs(120);
pub const TEA: &str = "TEA-EARL-GREY-250";

/// A shop of the test's own, in a folder that PostgreSQL's user can reach too.
pub struct Running {
    pub shop: Shop,
    folder: tempfile::TempDir,
    pub at: Addresses,
    pub client: Client,
}

impl Running {
    /// With these settings for every service.
    pub async fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let open = || fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), open()).unwrap();
        let started = folder.path().join("quadrille");
        let quadrille = program("quadrille").unwrap();
        fs::write(&started, format!("#!/bin/sh\n{settings} exec '{}' \"$@\"\n", quadrille.display())).unwrap();
        fs::set_permissions(&started, open()).unwrap();
        let shop = match Shop::start(&started, folder.path(), &[]).await {
            Ok(shop) => shop,
            Err(error) => panic!("{error:#}\n{}", last_words(folder.path())),
        };
        let at = shop.addresses().unwrap();
        Self { shop, folder, at, client: Client::new() }
    }

    /// Starts it again on the same data, with these arguments more.
    pub async fn again(&mut self, arguments: &[&str]) {
        self.shop.start_again(arguments).await.unwrap();
        self.at = self.shop.addresses().unwrap();
    }

    pub fn url(&self, service: &str, path: &str) -> String {
        format!("{}{path}", self.at.services[service].url)
    }

    pub async fn get(&self, service: &str, path: &str) -> Value {
        self.client.get(self.url(service, path)).send().await.unwrap().json().await.unwrap()
    }

    pub async fn place(&self, sku: &str) -> String {
        self.place_with(sku, "pm_card_visa").await
    }

    pub async fn place_with(&self, sku: &str, method: &str) -> String {
        self.place_pieces(sku, 1, method).await
    }

    pub async fn place_pieces(&self, sku: &str, quantity: u32, method: &str) -> String {
        let order = json!({
            "customer": {"id": "c-races", "name": "Ann Lee", "email": "ann@example.com"},
            "delivery_address": {"line1": "1 Quay St", "city": "Cork", "postal_code": "T12", "country": "IE"},
            "currency": "EUR", "lines": [{"sku": sku, "quantity": quantity}], "payment_method": method,
        });
        let answer = self.client.post(self.url("order-svc", "/api/v1/orders")).json(&order).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    }

    pub async fn cancel(&self, order: &str) -> StatusCode {
        let path = format!("/api/v1/orders/{order}/cancel");
        self.client.post(self.url("order-svc", &path)).send().await.unwrap().status()
    }

    /// Status and reason.
    pub async fn stands(&self, order: &str) -> (String, Option<String>) {
        let order = self.get("order-svc", &format!("/api/v1/orders/{order}")).await;
        let text = |field: &str| order[field].as_str().map(str::to_owned);
        (text("status").unwrap(), text("reason"))
    }

    pub async fn until(&self, order: &str, status: &str) {
        eventually(status, PATIENCE, async || self.stands(order).await.0 == status).await;
    }

    /// The order's field, as a client sees it.
    pub async fn until_field(&self, order: &str, field: &str, value: &str) {
        let path = format!("/api/v1/orders/{order}");
        eventually(&format!("{field} is {value}"), PATIENCE, async || {
            self.get("order-svc", &path).await[field] == value
        })
        .await;
    }

    pub async fn post(&self, service: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let answer = self.client.post(self.url(service, path)).json(body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    pub async fn first(&self, service: &str, list: &str, order: &str) -> Value {
        let path = format!("/api/v1/{list}?order_id={order}");
        eventually(list, PATIENCE, async || !self.get(service, &path).await["items"][0].is_null()).await;
        self.get(service, &path).await["items"][0].clone()
    }

    pub async fn add_product(&self, sku: &str, on_hand: u32) {
        let product = json!({
            "sku": sku, "name": "For a race", "description": "Made to be ordered", "category": null,
            "price": {"amount": 500, "currency": "EUR"}, "on_hand": on_hand,
        });
        let answer = self.client.post(self.url("stock-svc", "/api/v1/products")).json(&product).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        // In a currency that nothing is sold in, so that none is placed by asking.
        let ask = json!({
            "customer": {"id": "c-races", "name": "Ann Lee", "email": "ann@example.com"},
            "delivery_address": {"line1": "1 Quay St", "city": "Cork", "postal_code": "T12", "country": "IE"},
            "currency": "JPY", "lines": [{"sku": sku, "quantity": 1}], "payment_method": "pm_card_visa",
        });
        eventually("order-svc knows the product", PATIENCE, async || {
            let answer = self.client.post(self.url("order-svc", "/api/v1/orders")).json(&ask).send().await.unwrap();
            answer.text().await.unwrap().contains("is sold in EUR")
        })
        .await;
    }

    /// On hand and held.
    pub async fn level(&self, sku: &str) -> (i64, i64) {
        let product = self.get("stock-svc", &format!("/api/v1/products/{sku}")).await;
        (product["on_hand"].as_i64().unwrap(), product["held"].as_i64().unwrap())
    }

    /// What the gateway did for each order: amounts by operation.
    pub async fn money(&self) -> BTreeMap<String, BTreeMap<String, i64>> {
        let journal = self.get("sandbox-gateway", "/sandbox/journal?limit=1000").await;
        let mut by_order = BTreeMap::<_, BTreeMap<_, _>>::new();
        for line in journal["items"].as_array().unwrap() {
            let text = |field: &str| line[field].as_str().unwrap().to_owned();
            let of_order = by_order.entry(text("order_id")).or_default();
            *of_order.entry(text("operation")).or_default() += line["amount"].as_i64().unwrap();
        }
        by_order
    }

    pub async fn notifications(&self, order: &str) -> Vec<Value> {
        let path = format!("/api/v1/notifications?order_id={order}");
        // It is being killed now and then.
        let Ok(answer) = self.client.get(self.url("notification-svc", &path)).send().await else { return vec![] };
        let page: Value = answer.json().await.unwrap_or_default();
        page["items"].as_array().cloned().unwrap_or_default()
    }

    pub async fn stop(mut self) {
        self.shop.stop().await.unwrap();
        drop(self.folder);
    }
}

/// What is neither given back nor kept by nobody.
pub fn net(of_order: &BTreeMap<String, i64>) -> (i64, i64) {
    let sum = |operation: &str| of_order.get(operation).copied().unwrap_or_default();
    (sum("authorise") - sum("capture") - sum("void"), sum("capture") - sum("refund"))
}

/// The ends of all logs, which go with the folder.
fn last_words(folder: &Path) -> String {
    let logs = fs::read_dir(folder.join("shop/logs")).into_iter().flatten().map(|file| file.unwrap().path());
    let mut told = String::new();
    for log in logs.chain([folder.join("up.log")]) {
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(15).collect();
        told.push_str(&format!("== {}\n", log.display()));
        lines.iter().rev().for_each(|line| told.push_str(&format!("{line}\n")));
    }
    told
}
