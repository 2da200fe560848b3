//! What this service answers over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use quadrille_testing::Served;
use serde_json::{Value, json};
use shared_events::OrderId;

fn served_over(shop: &Shop) -> Served {
    Served::start("/api/v1/notifications", notification_svc::http::routes(shop.db.pool.clone()).unwrap())
}

async fn listed(served: &Served, query: &str) -> Value {
    let (status, body) = served.read(query).await;
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_messages_are_listed_and_one_is_shown_with_its_text() {
    let (mut shop, order) = Shop::with_an_order().await;
    shop.hear(confirmed(order)).await;
    shop.hear(placed(OrderId::new())).await;
    let served = served_over(&shop);

    let list = listed(&served, &format!("?order_id={order}")).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let first = &list["items"][1];
    assert_eq!(first["template"], "order_placed", "the newest is first");
    assert_eq!([&first["to"], &first["channel"]], ["ann@example.com", "email"]);
    assert_eq!((&first["status"], &first["sent_at"]), (&json!("queued"), &Value::Null));
    assert_eq!(list["next_cursor"], Value::Null);

    let (_, whole) = served.read(&format!("/{}", first["id"].as_str().unwrap())).await;
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
    let served = served_over(&shop);
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = listed(&served, &query).await;
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|a, b| a >= b), "the newest is first");
    for status in ["sent", "failed", "suppressed"] {
        assert_eq!(listed(&served, &format!("?status={status}")).await["items"], json!([]));
    }
    assert_eq!(listed(&served, "?status=queued").await["items"].as_array().unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_with_its_field() {
    let shop = Shop::new().await;
    let served = served_over(&shop);
    for (query, field) in [
        ("?order_id=7", "order_id"),
        ("?status=lost", "status"),
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?limit=many", "limit"),
        ("?cursor=x", "cursor"),
        ("?colour=blue", "colour"),
    ] {
        assert_eq!(served.fields_of_a_problem(query, 422).await, [field], "{query}");
    }
    let all = served.fields_of_a_problem("?status=lost&limit=0&cursor=x&order_id=7", 422).await;
    assert_eq!(all, ["status", "limit", "cursor", "order_id"], "all at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let shop = Shop::new().await;
    let served = served_over(&shop);
    for path in ["/01980a10-7c00-7000-8000-0000000000e1", "/7"] {
        assert!(served.fields_of_a_problem(path, 404).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_what_the_service_does() {
    let shop = Shop::new().await;
    let served = served_over(&shop);
    served.document_is_right().await;
}
