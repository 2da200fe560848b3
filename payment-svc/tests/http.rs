//! Reading payments over HTTP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use payment_svc::http::{AppState, routes};
use serde_json::{Value, json};
use service_kit::http::{Readiness, bind};
use shop::{
    Order, Shop,
    gateways::{MockGateway, that_agrees},
};
use tokio_util::sync::CancellationToken;

struct Served {
    url: String,
    shop: Shop<MockGateway>,
    stop: CancellationToken,
}

impl Served {
    async fn start() -> Self {
        let shop = Shop::new(that_agrees()).await;
        let stop = CancellationToken::new();
        let state = AppState { pool: shop.db.pool.clone() };
        let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let server =
            bind("payment-svc", addr, Readiness::default(), stop.clone(), move |served| routes(served, &state))
                .unwrap();
        let url = format!("http://127.0.0.1:{}/api/v1/payments", server.port());
        tokio::spawn(server.run());
        Self { url, shop, stop }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let response = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
        (response.status().as_u16(), serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_shows_its_status_its_refunds_and_its_ledger() {
    let served = Served::start().await;
    let (shop, order) = (&served.shop, Order::new("pm_card_visa"));
    shop.hear([order.placed(), order.reserved()]).await;
    shop.call_gateway().await;
    shop.hear([order.confirmed()]).await;
    shop.call_gateway().await;
    shop.hear([order.restocked(&[("TEA", 1)])]).await;
    shop.call_gateway().await;

    let (status, list) = served.get(&format!("?order_id={}", order.id)).await;
    assert_eq!((status, list["items"].as_array().unwrap().len(), &list["next_cursor"]), (200, 1, &Value::Null));
    let listed = &list["items"][0];
    assert_eq!(listed["status"], "partially_refunded");
    assert_eq!(listed["captured"], json!({"amount": 2598, "currency": "EUR"}));
    assert_eq!(listed["refunded"], json!({"amount": 1000, "currency": "EUR"}));
    let (status, shown) = served.get(&format!("/{}", listed["id"].as_str().unwrap())).await;
    assert_eq!((status, &shown["order_id"], &shown["attempts"]), (200, &json!(order.id), &json!(1)));
    assert_eq!(shown["refunds"][0]["status"], "done");
    assert_eq!(shown["refunds"][0]["amount"], json!({"amount": 1000, "currency": "EUR"}));
    assert_eq!(shown["ledger"][0]["amount"], json!({"amount": 2598, "currency": "EUR"}));
    let operations: Vec<_> = shown["ledger"].as_array().unwrap().iter().map(|entry| &entry["operation"]).collect();
    assert_eq!(operations, ["authorise", "capture", "refund"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_goes_on_where_a_page_ended() {
    let served = Served::start().await;
    for _ in 0..3 {
        served.shop.hear([Order::new("pm_card_visa").placed()]).await;
    }
    let (_, first) = served.get("?limit=2").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let (_, second) = served.get(&format!("?limit=2&cursor={cursor}")).await;
    assert_eq!((first["items"].as_array().unwrap().len(), second["items"].as_array().unwrap().len()), (2, 1));
    assert_eq!(second["next_cursor"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_a_problem_that_names_the_field() {
    let served = Served::start().await;
    for (path, expected, field) in [
        ("?order_id=none", 422, "order_id"),
        ("?limit=0", 422, "limit"),
        ("?cursor=x", 422, "cursor"),
        ("?colour=red", 422, "colour"),
    ] {
        let (status, problem) = served.get(path).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (expected, &json!(field)), "{path}: {problem}");
    }
    let (status, problem) = served.get("/01890000-0000-7000-8000-000000000000").await;
    assert_eq!((status, &problem["status"]), (404, &json!(404)));
}
