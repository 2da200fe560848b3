//! A shop of a test's own, as a person runs it.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::panic,
    clippy::format_push_string,
    reason = "shared by several test programs"
)]

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use quadrille::addresses::Addresses;
use quadrille::api::{Journal, OrderDraft, number, text};
use quadrille::service::Service;
use quadrille_acceptance::{program, shop::Shop};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use service_kit::testing::eventually;

pub const PATIENCE: Duration = Duration::from_secs(120);
pub use quadrille::api::TEA;

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

    async fn ask(&self, method: Method, service: &str, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let service = Service::ALL.into_iter().find(|known| known.name() == service).unwrap();
        self.shop.api.ask(method, service, path, body).await.unwrap()
    }

    pub async fn get(&self, service: &str, path: &str) -> Value {
        self.ask(Method::GET, service, path, None).await.1
    }

    pub async fn post(&self, service: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        self.ask(Method::POST, service, path, Some(body)).await
    }

    pub async fn put(&self, service: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        self.ask(Method::PUT, service, path, Some(body)).await
    }

    pub async fn place(&self, sku: &str) -> String {
        self.place_with(sku, "pm_card_visa").await
    }

    pub async fn place_with(&self, sku: &str, method: &str) -> String {
        self.place_pieces(sku, 1, method).await
    }

    pub async fn place_pieces(&self, sku: &str, quantity: u32, payment_method: &str) -> String {
        let wish = OrderDraft { sku, quantity, payment_method, customer: "c-races", ..OrderDraft::default() };
        self.shop.api.place(&wish).await.unwrap()
    }

    pub async fn cancel(&self, order: &str) -> StatusCode {
        self.ask(Method::POST, "order-svc", &format!("/api/v1/orders/{order}/cancel"), None).await.0
    }

    /// Status and reason.
    pub async fn stands(&self, order: &str) -> (String, Option<String>) {
        let order = self.shop.api.order(order).await.unwrap();
        (text(&order, "status").unwrap(), text(&order, "reason").ok())
    }

    pub async fn until(&self, order: &str, status: &str) {
        eventually(status, PATIENCE, async || self.stands(order).await.0 == status).await;
    }

    /// The order's field, as a client sees it.
    pub async fn until_field(&self, order: &str, field: &str, value: &str) {
        let what = format!("{field} is {value}");
        eventually(&what, PATIENCE, async || self.shop.api.order(order).await.unwrap()[field] == value).await;
    }

    pub async fn first(&self, service: &str, list: &str, order: &str) -> Value {
        let path = format!("/api/v1/{list}?order_id={order}");
        eventually(list, PATIENCE, async || !self.get(service, &path).await["items"][0].is_null()).await;
        self.get(service, &path).await["items"][0].clone()
    }

    pub async fn add_product(&self, sku: &str, on_hand: u32) {
        self.shop.api.add_product(sku, on_hand).await.unwrap();
    }

    /// On hand and held.
    pub async fn level(&self, sku: &str) -> (i64, i64) {
        let product = self.shop.api.product(sku).await.unwrap();
        (number(&product, "on_hand").unwrap(), number(&product, "held").unwrap())
    }

    /// What the gateway did for each order: amounts by operation.
    pub async fn money(&self) -> BTreeMap<String, BTreeMap<String, i64>> {
        let journal = self.shop.api.journal().await.unwrap();
        let amounts = |of_order: Journal| of_order.into_iter().map(|(operation, (sum, _))| (operation, sum)).collect();
        journal.into_iter().map(|(order, of_order)| (order, amounts(of_order))).collect()
    }

    /// Nothing while notification-svc is away.
    pub async fn notifications(&self, order: &str) -> Vec<Value> {
        self.shop.api.notifications(order).await.unwrap_or_default()
    }

    pub async fn stop(mut self) {
        self.shop.stop().await.unwrap();
        drop(self.folder);
    }
}

/// What is still reserved of the customer's money, and what the shop has kept of it.
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
