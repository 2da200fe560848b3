//! The whole service, on real PostgreSQL and real Kafka: HTTP in, events out, events in, timers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::*;
use order_svc::{App, Config};
use quadrille_testing::configured;
use quadrille_testing::kafka::{make_topics, send, until_published};
use reqwest::StatusCode;
use serde_json::{Value, json};
use service_kit::testing::{Running, TestDb, eventually, unique};
use shared_events::*;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_placed_published_moved_by_events_and_given_up_at_their_deadline() {
    make_topics().await;
    let db = TestDb::new(&order_svc::migrations()).await;
    let app = App::build(configured(&db, &[("ORDER_DEADLINE", "5s")], Config::read)).await.unwrap();
    let base = format!("http://127.0.0.1:{}", app.port());
    let running = Running::start(|stop| app.run_until(stop));
    let client = reqwest::Client::new();
    let get = async |path: String| client.get(format!("{base}{path}")).send().await.unwrap();

    let others = Others::default();
    let sku = unique("SKU").to_uppercase();
    send([others.record(product(&sku, 12_99, ProductStatus::Active))]).await;
    let order = json!({
        "customer": {"id": "c-1001", "name": "Ann Lee", "email": "ann@example.com"},
        "delivery_address": {"line1": "1 Quay St", "city": "Cork", "postal_code": "T12", "country": "IE"},
        "currency": "EUR", "lines": [{"sku": sku, "quantity": 1}], "payment_method": "pm_card_visa"
    });
    let place = async || client.post(format!("{base}/api/v1/orders")).json(&order).send().await.unwrap();
    eventually("the product is known", PATIENCE, async || place().await.status() == StatusCode::ACCEPTED).await;
    eventually("it is ready", PATIENCE, async || get("/readyz".to_owned()).await.status() == StatusCode::OK).await;

    let confirmed: Value = place().await.json().await.unwrap();
    let id = confirmed["id"].as_str().unwrap();
    until_published(Topic::Orders, id, "order.placed.v1").await;
    send([others.record(authorized(id.parse().unwrap()))]).await;
    until_published(Topic::Orders, id, "order.confirmed.v1").await;

    let customer = unique("c");
    let profile = json!({"name": "Ann Lee", "email": "ann@example.com"});
    let set = client.put(format!("{base}/api/v1/customers/{customer}")).json(&profile).send().await.unwrap();
    assert_eq!(set.status(), StatusCode::CREATED);
    until_published(Topic::Customers, &customer, "customer.changed.v1").await;

    let pending: Value = place().await.json().await.unwrap();
    let id = pending["id"].as_str().unwrap();
    until_published(Topic::Orders, id, "order.cancel_requested.v1").await;
    let given_up: Value = get(format!("/api/v1/orders/{id}")).await.json().await.unwrap();
    assert_eq!((&given_up["status"], &given_up["reason"]), (&json!("cancelling"), &json!("timeout")));

    // What is said of a SKU when few are left is its whole state, and may be all that compaction leaves of it.
    let Event::Product(ProductEvent::Changed(ProductChanged(state))) = product(&sku, 13_99, ProductStatus::Active)
    else {
        panic!("a change of a product")
    };
    send([others.record(ProductStockLow { state, available: 1 })]).await;
    eventually("the new price is known", PATIENCE, async || {
        place().await.json::<Value>().await.unwrap()["total"]["amount"] == 13_99
    })
    .await;
    tokio::time::timeout(PATIENCE, running.end()).await.unwrap().unwrap();
    knows_todays_prices_with_a_new_database(&order).await;
}

/// The group has read the catalogue to its end; an order-svc whose database is new reads all of it again.
async fn knows_todays_prices_with_a_new_database(order: &Value) {
    let db = TestDb::new(&order_svc::migrations()).await;
    let app = App::build(configured(&db, &[], Config::read)).await.unwrap();
    let url = format!("http://127.0.0.1:{}/api/v1/orders", app.port());
    let running = Running::start(|stop| app.run_until(stop));
    let client = reqwest::Client::new();
    let place = async || client.post(&url).json(order).send().await.unwrap();
    eventually("prices are known", PATIENCE, async || place().await.status() != StatusCode::SERVICE_UNAVAILABLE).await;
    let placed = place().await;
    assert_eq!(placed.status(), StatusCode::ACCEPTED);
    let placed: Value = placed.json().await.unwrap();
    assert_eq!(placed["total"], json!({"amount": 13_99, "currency": "EUR"}));
    tokio::time::timeout(PATIENCE, running.end()).await.unwrap().unwrap();
}
