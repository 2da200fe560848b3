//! What this service answers over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use reqwest::StatusCode;
use serde_json::{Value, json};
use service_kit::http::{Readiness, bind};
use shared_events::OrderId;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The service's HTTP over a shop's database, until it is dropped.
struct Served {
    base: String,
    _stop: DropGuard,
}

impl Served {
    fn over(shop: &Shop) -> Self {
        let token = CancellationToken::new();
        let routes = notification_svc::http::routes(shop.db.pool.clone()).unwrap();
        let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let server = bind(notification_svc::GROUP, addr, Readiness::default(), token.clone(), routes).unwrap();
        let base = format!("http://127.0.0.1:{}/api/v1/notifications", server.port());
        tokio::spawn(server.run());
        Self { base, _stop: token.drop_guard() }
    }

    async fn get(&self, rest: &str) -> (StatusCode, Value) {
        let answer = reqwest::get(format!("{}{rest}", self.base)).await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn listed(&self, query: &str) -> Value {
        let (status, body) = self.get(query).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_messages_are_listed_and_one_is_shown_with_its_text() {
    let mut shop = Shop::new().await;
    let order = OrderId::new();
    shop.hear(placed(order)).await;
    shop.hear(confirmed(order)).await;
    shop.hear(placed(OrderId::new())).await;
    let served = Served::over(&shop);

    let list = served.listed(&format!("?order_id={order}")).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let first = &list["items"][1];
    assert_eq!(first["template"], "order_placed", "the newest is first");
    assert_eq!([&first["to"], &first["channel"]], ["ann@example.com", "email"]);
    assert_eq!((&first["status"], &first["sent_at"]), (&json!("queued"), &Value::Null));
    assert_eq!(list["next_cursor"], Value::Null);

    let (_, whole) = served.get(&format!("/{}", first["id"].as_str().unwrap())).await;
    assert!(whole["text"].as_str().unwrap().starts_with("Hello Ann Lee,\n"));
    assert!(whole["html"].as_str().unwrap().contains("<p>Hello Ann Lee,</p>"));
    assert_eq!(whole["order_id"], json!(order));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_read_to_its_end_page_by_page() {
    let mut shop = Shop::new().await;
    for _ in 0..5 {
        shop.hear(placed(OrderId::new())).await;
    }
    let served = Served::over(&shop);
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = served.listed(&query).await;
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|a, b| a >= b), "the newest is first");
    for status in ["sent", "failed", "suppressed"] {
        assert_eq!(served.listed(&format!("?status={status}")).await["items"], json!([]));
    }
    assert_eq!(served.listed("?status=queued").await["items"].as_array().unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_with_its_field() {
    let shop = Shop::new().await;
    let served = Served::over(&shop);
    for (query, field) in [
        ("?order_id=7", "order_id"),
        ("?status=lost", "status"),
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?limit=many", "limit"),
        ("?cursor=x", "cursor"),
        ("?colour=blue", "colour"),
    ] {
        let (status, problem) = served.get(query).await;
        assert_eq!(
            (status, &problem["errors"][0]["field"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)),
            "{problem}"
        );
    }
    let (_, problem) = served.get("?status=lost&limit=0&cursor=x&order_id=7").await;
    let errors = problem["errors"].as_array().unwrap();
    let fields: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["status", "limit", "cursor", "order_id"], "all at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let shop = Shop::new().await;
    let served = Served::over(&shop);
    for path in ["/01980a10-7c00-7000-8000-0000000000e1", "/7"] {
        let (status, problem) = served.get(path).await;
        assert_eq!((status, &problem["status"]), (StatusCode::NOT_FOUND, &json!(404)), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_what_the_service_does() {
    let shop = Shop::new().await;
    let served = Served::over(&shop);
    let root = served.base.replace("/api/v1/notifications", "");
    let asked = async |path: &str| reqwest::get(format!("{root}{path}")).await.unwrap();
    let document: Value = asked("/openapi.json").await.json().await.unwrap();
    let routes: Value = asked(service_kit::testing::ROUTES).await.json().await.unwrap();
    assert_eq!(service_kit::testing::faults_of(&document, &routes), Vec::<String>::new());
    assert_eq!(service_kit::testing::faults_of_examples(&document), Vec::<String>::new());
    let page = asked("/docs").await.text().await.unwrap();
    assert!(page.contains("openapi.json") && !page.contains("https://"), "the page asks for things from elsewhere");
}
