//! What this service answers over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use quadrille_testing::issuer::{Issuer, Signer};
use quadrille_testing::{Served, answer};
use reqwest::Method;
use serde_json::{Value, json};
use service_kit::http::Limits;
use shared_events::OrderId;
use tokio_util::sync::CancellationToken;

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
async fn messages_of_one_channel_can_be_asked_for_and_a_devices_token_is_nobodys_to_read() {
    let (mut shop, order) = (Shop::new().await, OrderId::new());
    shop.hear(profile(&["email", "sms", "push"])).await;
    shop.hear(placed(order)).await;
    shop.hear(dispatched(order)).await;
    let served = served_over(&shop);
    for (channel, to) in [("email", json!("ann@example.com")), ("sms", json!("+353861234567")), ("push", Value::Null)] {
        let list = listed(&served, &format!("?channel={channel}&order_id={order}")).await;
        let first = &list["items"][0];
        assert_eq!((&first["channel"], &first["to"]), (&json!(channel), &to));
        assert_eq!(first["template"], "shipment_dispatched");
        let (_, whole) = served.read(&format!("/{}", first["id"].as_str().unwrap())).await;
        assert_eq!(whole["html"].is_null(), channel != "email");
        assert!(!whole.to_string().contains("device-1"), "{whole}");
    }
    assert_eq!(listed(&served, "?channel=sms").await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_with_its_field() {
    let shop = Shop::new().await;
    let served = served_over(&shop);
    for (query, field) in [
        ("?order_id=7", "order_id"),
        ("?status=lost", "status"),
        ("?channel=mail", "channel"),
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
    served.document_is_right(notification_svc::http::ACCESS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_see_what_they_were_told_and_nobody_else_does_but_staff_and_operators() {
    let (mut shop, order) = Shop::with_an_order().await;
    shop.hear(confirmed(order)).await;
    let issuer = Issuer::start(&[Signer::es256("k1")]).await;
    let routes = notification_svc::http::routes(shop.db.pool.clone()).unwrap();
    let guard = issuer.guard(notification_svc::http::ACCESS).await;
    let served = Served::guarded("/api/v1/notifications", guard, Limits::default(), CancellationToken::new(), routes);
    let customer = quadrille_testing::customer().id.to_string();
    let callers =
        [(customer.as_str(), "customer"), ("somebody-else", "customer"), ("sam", "staff"), ("olga", "operator")];
    let ask = async |path: &str, token: &str| answer(served.request(Method::GET, path).bearer_auth(token)).await;
    let (_, list) = ask("", &issuer.token("sam", &["staff"])).await;
    let first = format!("/{}", list["items"][0]["id"].as_str().unwrap());
    let mut seen = vec![];
    for (sub, role) in callers {
        let token = issuer.token(sub, &[role]);
        let (_, list) = ask("", &token).await;
        seen.push((list["items"].as_array().unwrap().len(), ask(&first, &token).await.0));
    }
    assert_eq!(seen, [(2, 200), (0, 404), (2, 200), (2, 200)]);
    served.refuses_strangers(notification_svc::http::ACCESS).await;
    assert_eq!(ask("", &issuer.token("nobody", &[])).await.0, 403);
}
