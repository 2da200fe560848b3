//! Rows of docs/RACES.md on the whole shop, as a person runs it.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

use nix::sys::signal::Signal;
use quadrille::{accept::shop::Shop, addresses::Addresses};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use service_kit::testing::eventually;

const QUADRILLE: &str = env!("CARGO_BIN_EXE_quadrille");
const PATIENCE: Duration = Duration::from_secs(120);
const TEA: &str = "TEA-EARL-GREY-250";

/// A shop of the test's own, in a folder that PostgreSQL's user can reach too.
struct Running {
    shop: Shop,
    folder: tempfile::TempDir,
    at: Addresses,
    client: Client,
}

impl Running {
    /// With these settings for every service.
    async fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let open = || fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), open()).unwrap();
        let program = folder.path().join("quadrille");
        fs::write(&program, format!("#!/bin/sh\n{settings} exec '{QUADRILLE}' \"$@\"\n")).unwrap();
        fs::set_permissions(&program, open()).unwrap();
        let shop = Shop::start(&program, folder.path(), &[]).await.unwrap();
        let at = shop.addresses().unwrap();
        Self { shop, folder, at, client: Client::new() }
    }

    fn url(&self, service: &str, path: &str) -> String {
        format!("{}{path}", self.at.services[service].url)
    }

    async fn get(&self, service: &str, path: &str) -> Value {
        self.client.get(self.url(service, path)).send().await.unwrap().json().await.unwrap()
    }

    async fn place(&self, sku: &str) -> String {
        let order = json!({
            "customer": {"id": "c-races", "name": "Ann Lee", "email": "ann@example.com"},
            "delivery_address": {"line1": "1 Quay St", "city": "Cork", "postal_code": "T12", "country": "IE"},
            "currency": "EUR", "lines": [{"sku": sku, "quantity": 1}], "payment_method": "pm_card_visa",
        });
        let answer = self.client.post(self.url("order-svc", "/api/v1/orders")).json(&order).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    }

    async fn cancel(&self, order: &str) -> StatusCode {
        let path = format!("/api/v1/orders/{order}/cancel");
        self.client.post(self.url("order-svc", &path)).send().await.unwrap().status()
    }

    /// Status and reason.
    async fn stands(&self, order: &str) -> (String, Option<String>) {
        let order = self.get("order-svc", &format!("/api/v1/orders/{order}")).await;
        let text = |field: &str| order[field].as_str().map(str::to_owned);
        (text("status").unwrap(), text("reason"))
    }

    async fn until(&self, order: &str, status: &str) {
        eventually(status, PATIENCE, async || self.stands(order).await.0 == status).await;
    }

    async fn add_product(&self, sku: &str, on_hand: u32) {
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
    async fn level(&self, sku: &str) -> (i64, i64) {
        let product = self.get("stock-svc", &format!("/api/v1/products/{sku}")).await;
        (product["on_hand"].as_i64().unwrap(), product["held"].as_i64().unwrap())
    }

    /// What the gateway did for each order: amounts by operation.
    async fn money(&self) -> BTreeMap<String, BTreeMap<String, i64>> {
        let journal = self.get("sandbox-gateway", "/sandbox/journal?limit=1000").await;
        let mut by_order = BTreeMap::<_, BTreeMap<_, _>>::new();
        for line in journal["items"].as_array().unwrap() {
            let text = |field: &str| line[field].as_str().unwrap().to_owned();
            let of_order = by_order.entry(text("order_id")).or_default();
            *of_order.entry(text("operation")).or_default() += line["amount"].as_i64().unwrap();
        }
        by_order
    }

    async fn notifications(&self, order: &str) -> Vec<Value> {
        let path = format!("/api/v1/notifications?order_id={order}");
        // It is being killed now and then.
        let Ok(answer) = self.client.get(self.url("notification-svc", &path)).send().await else { return vec![] };
        let page: Value = answer.json().await.unwrap_or_default();
        page["items"].as_array().cloned().unwrap_or_default()
    }

    async fn stop(mut self) {
        self.shop.stop().await.unwrap();
        drop(self.folder);
    }
}

/// What is neither given back nor kept by nobody.
fn net(of_order: &BTreeMap<String, i64>) -> (i64, i64) {
    let sum = |operation: &str| of_order.get(operation).copied().unwrap_or_default();
    (sum("authorise") - sum("capture") - sum("void"), sum("capture") - sum("refund"))
}

#[tokio::test(flavor = "multi_thread")]
async fn race_order_hears_nothing_from_a_warehouse_that_stands_still_and_ends_at_its_deadline() {
    let running = Running::start("ORDER_DEADLINE=3s").await;
    let before = running.level(TEA).await;
    let warehouse = running.shop.process("stock-svc").unwrap();
    assert!(warehouse.signal(Signal::SIGSTOP));
    let order = running.place(TEA).await;
    running.until(&order, "cancelling").await;
    let waits = running.get("order-svc", &format!("/api/v1/orders/{order}")).await;
    assert_eq!(waits["waiting_for"]["from"], "stock-svc");
    assert!(warehouse.signal(Signal::SIGCONT));
    running.until(&order, "cancelled").await;
    assert_eq!(running.stands(&order).await.1.as_deref(), Some("timeout"));
    assert_eq!(running.level(TEA).await, before);
    let money = running.money().await;
    assert_eq!(money.get(&order).map_or((0, 0), net), (0, 0));
    running.stop().await;
}

/// Cancelled at once, or a little later: whoever wins, goods and money are back.
#[tokio::test(flavor = "multi_thread")]
async fn race_cancel_races_confirm_in_a_running_shop_and_nothing_is_kept() {
    const ORDERS: usize = 24;
    let running = Running::start("").await;
    running.add_product("RACE-CANCEL", 100).await;
    let mut orders = vec![];
    for number in 0..ORDERS {
        let order = running.place("RACE-CANCEL").await;
        let history = format!("/api/v1/orders/{order}/history");
        eventually("so much was heard", PATIENCE, async || {
            running.get("order-svc", &history).await["items"].as_array().unwrap().len() > number % 4
        })
        .await;
        assert_eq!(running.cancel(&order).await, StatusCode::ACCEPTED);
        orders.push(order);
    }
    for order in &orders {
        running.until(order, "cancelled").await;
        assert_eq!(running.stands(order).await.1.as_deref(), Some("customer"));
    }
    let money = running.money().await;
    assert!(orders.iter().all(|order| money.get(order).map_or((0, 0), net) == (0, 0)), "{money:?}");
    assert_eq!(running.level("RACE-CANCEL").await, (100, 0));
    running.stop().await;
}

/// So many are confirmed as there are pieces, and the others never see the gateway.
#[tokio::test(flavor = "multi_thread")]
async fn race_stock_is_short_in_a_running_shop_with_more_orders_at_once_than_pieces() {
    let running = Running::start("").await;
    running.add_product("RACE-SHORT", 3).await;
    let three = async || {
        [running.place("RACE-SHORT").await, running.place("RACE-SHORT").await, running.place("RACE-SHORT").await]
    };
    let (some, more, rest) = tokio::join!(three(), three(), three());
    let (mut confirmed, mut short) = (vec![], vec![]);
    for order in [some, more, rest].into_iter().flatten() {
        eventually("it is decided", PATIENCE, async || {
            matches!(running.stands(&order).await.0.as_str(), "confirmed" | "cancelled")
        })
        .await;
        match running.stands(&order).await.1.as_deref() {
            None => confirmed.push(order),
            Some(reason) => {
                assert_eq!(reason, "out_of_stock");
                short.push(order);
            }
        }
    }
    assert_eq!((confirmed.len(), short.len()), (3, 6));
    eventually("what is confirmed is committed", PATIENCE, async || running.level("RACE-SHORT").await == (0, 0)).await;
    let money = running.money().await;
    assert!(short.iter().all(|order| !money.contains_key(order)), "{money:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_crash_around_mail_in_a_shop_whose_notification_svc_is_killed_while_it_sends() {
    const ORDERS: usize = 30;
    let running = Running::start("").await;
    let mut orders = vec![];
    for number in 0..ORDERS {
        orders.push(running.place(TEA).await);
        if number % 10 == 5 {
            running.shop.kill("notification-svc").unwrap();
            let back = async || running.shop.process("notification-svc").is_ok();
            eventually("it is started again", PATIENCE, back).await;
        }
    }
    for order in &orders {
        running.until(order, "confirmed").await;
        // A mail whose sender was killed waits until its lease of two minutes is over.
        eventually("both mails are sent", PATIENCE * 2, async || {
            let sent = running.notifications(order).await;
            sent.len() == 2 && sent.iter().all(|message| message["status"] == "sent")
        })
        .await;
    }
    let told: BTreeSet<String> = mails(&running.at.mails);
    for order in &orders {
        let ids: Vec<Value> = running.notifications(order).await;
        let expected: BTreeSet<String> = ids.iter().map(|message| file_of(order, message)).collect();
        let of_order: BTreeSet<String> = told.iter().filter(|name| name.starts_with(order)).cloned().collect();
        assert_eq!(of_order, expected, "one mail for a fact, known by its notification's id");
        let templates: BTreeSet<&str> = ids.iter().map(|message| message["template"].as_str().unwrap()).collect();
        assert_eq!(templates, BTreeSet::from(["order_confirmed", "order_placed"]));
    }
    running.stop().await;
}

fn file_of(order: &str, message: &Value) -> String {
    format!("{order}.{}.{}.eml", message["template"].as_str().unwrap(), message["id"].as_str().unwrap())
}

fn mails(folder: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".eml")).collect()
}
