//! Pages of the catalogue are kept for a moment: by whom they are looked up, and how old they may be.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod api;
mod common;

use std::time::Duration;

use api::{Api, earl_grey};
use common::*;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use service_kit::testing::{eventually, one_connection};
use shared_events::OrderId;
use stock_svc::commands;
use stock_svc::domain::OnHand;

const PAGE: &str = "/products?q=grey";

async fn prices(api: &Api) -> Vec<i64> {
    let page = api.get(PAGE).await;
    page["items"].as_array().unwrap().iter().map(|item| item["price"]["amount"].as_i64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_looked_up_once_however_many_ask_for_it_and_so_is_one_with_nothing_on_it() {
    let mut warehouse = Warehouse::with(&[("TEA", 1)]).await;
    warehouse.db.pool = one_connection(&warehouse.db.url).await;
    let api = Api::over(warehouse).await;
    for (path, items) in [(PAGE, 1), ("/products?q=coffee", 0)] {
        let before = api.warehouse.db.pool.get().await.unwrap().traffic().statements;
        let pages = join_all((0..32).map(|_| api.get(path))).await;
        assert!(pages.iter().all(|page| page["items"].as_array().unwrap().len() == items), "{pages:?}");
        let after = api.warehouse.db.pool.get().await.unwrap().traffic().statements;
        assert_eq!(after - before, 1, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_instance_has_changed_its_pages_show_at_once() {
    let api = Api::over(Warehouse::empty().await).await;
    assert_eq!(prices(&api).await, [0; 0]);
    api.post("/products", earl_grey()).await;
    assert_eq!(prices(&api).await, [1299]);
    let details =
        json!({"name": "Lady Grey", "description": "", "category": null, "price": {"amount": 1399, "currency": "EUR"}});
    api.expect(Method::PUT, "/products/TEA", Some(&details), 200).await;
    assert_eq!(prices(&api).await, [1399]);
    let shown = async |what: &str| -> Value { api.get(PAGE).await["items"][0][what].clone() };
    api.expect(Method::POST, "/products/TEA/adjustments", Some(&json!({"delta": -3, "reason": "broken"})), 200).await;
    assert_eq!(shown("on_hand").await, 7);
    let order = OrderId::new();
    api.warehouse.hears(placed(order, &[("TEA", 2)])).await;
    assert_eq!(shown("held").await, 2);
    api.warehouse.expires(order).await;
    assert_eq!(shown("held").await, 0);
    api.expect(Method::DELETE, "/products/TEA", None, 204).await;
    assert_eq!(shown("status").await, "withdrawn");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_instance_has_changed_a_page_shows_once_it_has_been_kept_long_enough() {
    let api = Api::keeping_pages(Warehouse::empty().await, Duration::from_millis(100));
    assert_eq!(prices(&api).await, [0; 0]);
    // nobody tells this instance
    commands::add_product(&api.warehouse.db.pool, "TEA".parse().unwrap(), tea(), OnHand::try_from(1).unwrap())
        .await
        .unwrap();
    eventually("the page shows it", Duration::from_secs(30), async || prices(&api).await == [1299]).await;
    let shown = api.get("/products/TEA").await;
    commands::withdraw_product(&api.warehouse.db.pool, &"TEA".parse().unwrap(), &commands::Expected::Any)
        .await
        .unwrap();
    assert_ne!(api.get("/products/TEA").await["status"], shown["status"], "a product is shown as it is");
}
