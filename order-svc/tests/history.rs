//! An order's history: every event that was heard or said of it, and what it waits for, since when.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::server::Server;
use common::*;
use order_svc::deadline::Deadlines;
use outbox_relay::Nudge;
use reqwest::StatusCode;
use serde_json::{Value, json};
use service_kit::consumer::{Outcome, Why};
use service_kit::timers;
use shared_events::{Event, OrderId, PaymentDeclined, PaymentId};

fn declined_for_now(order_id: OrderId) -> Event {
    let code = "insufficient_funds".to_owned();
    PaymentDeclined { order_id, payment_id: PaymentId(order_id.0), code, retryable: true }.into()
}

async fn history(server: &Server, id: OrderId) -> Vec<Value> {
    let page: Value = server.get(&format!("/{id}/history")).await.json().await.unwrap();
    assert_eq!(page["next_cursor"], Value::Null);
    page["items"].as_array().unwrap().clone()
}

/// What was heard or said, by whom, and where the order stood after it.
fn told(entry: &Value) -> (&str, &str, &str) {
    let text = |field: &str| entry[field].as_str().unwrap();
    (text("type"), text("source"), text("status"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_heard_or_said_is_in_the_history_with_what_it_changed() {
    let server = Server::new().await;
    let shop = &server.shop;
    let id = shop.place().await;
    shop.hear(reserved(id)).await;
    let authorized = shop.record(authorized(id));
    shop.hear_record(&authorized).await;
    let history = history(&server, id).await;
    assert_eq!(
        history.iter().map(told).collect::<Vec<_>>(),
        [
            ("order.placed.v1", "/order-svc", "pending"),
            ("stock.reserved.v1", "/test", "pending"),
            ("payment.authorized.v1", "/test", "confirmed"),
            ("order.confirmed.v1", "/order-svc", "confirmed"),
        ]
    );
    let positions: Vec<i64> = history.iter().map(|entry| entry["position"].as_i64().unwrap()).collect();
    assert_eq!(positions, [1, 2, 3, 4]);
    let before: Vec<&Value> = history.iter().map(|entry| &entry["status_before"]).collect();
    assert_eq!(before, [&Value::Null, &json!("pending"), &json!("pending"), &json!("confirmed")]);
    let heard = authorized.header("ce_id").unwrap();
    assert_eq!((&history[2]["event_id"], &history[3]["because_of"]), (&json!(heard), &json!(heard)));
    let confirmed = shop.db.count("order_history h join outbox o on o.event_id = h.event_id").await;
    assert_eq!(confirmed, 2, "what was said has the id that it has in the outbox");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_nothing_is_in_the_history_with_the_reason_and_what_came_twice_stands_once() {
    let server = Server::new().await;
    let shop = &server.shop;
    let id = shop.place().await;
    let reserved = shop.record(reserved(id));
    let released = shop.record(released(id));
    assert_eq!(shop.hear_record(&released).await, Outcome::Applied);
    assert_eq!(shop.hear_record(&released).await, Outcome::Duplicate);
    assert_eq!(shop.hear_record(&reserved).await, Outcome::Ignored(Why::Stale));
    let history = history(&server, id).await;
    let why: Vec<&Value> = history.iter().map(|entry| &entry["ignored"]).collect();
    assert_eq!(why, [&Value::Null, &Value::Null, &json!("stale")]);
    assert_eq!(shop.order(id).await.version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_and_a_deadline_are_in_the_history_by_what_was_said_of_them() {
    let server = Server::new().await;
    let (cancelled, timed_out) = (server.shop.place().await, server.shop.place().await);
    server.cancel(&cancelled.to_string()).await;
    server.cancel(&cancelled.to_string()).await;
    let (deadlines, kind) = (Deadlines::new(Nudge::default()), order_svc::commands::DEADLINE_TIMER);
    let conn = &mut *server.shop.db.conn().await;
    timers::fire_by_hand(conn, &deadlines, kind, &[&timed_out.to_string()]).await.unwrap();
    for (id, reason) in [(cancelled, "customer"), (timed_out, "timeout")] {
        let history = history(&server, id).await;
        assert_eq!(history.len(), 2);
        assert_eq!(told(&history[1]), ("order.cancel_requested.v1", "/order-svc", "cancelling"));
        assert_eq!((&history[1]["status_before"], &history[1]["reason"]), (&json!("pending"), &json!(reason)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_undone_leaves_no_history() {
    use diesel_async::AsyncConnection;
    use order_svc::store::{self, AnnounceError};
    let (shop, id) = Shop::with_an_order().await;
    let mut conn = shop.db.conn().await;
    let undone = conn
        .transaction(async |conn| {
            let mut loaded = store::load_order(conn, id).await?;
            let cancelled = loaded.order(id).unwrap().progress.clone().cancel().unwrap();
            loaded.apply(cancelled.into(), None)?;
            store::save(conn, loaded).await?;
            Err::<(), AnnounceError>(diesel::result::Error::RollbackTransaction.into())
        })
        .await;
    assert!(undone.is_err());
    assert_eq!(shop.db.count("order_history").await, 1);
    assert_eq!(shop.count("select recorded as count from orders").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_pages_through_the_oldest_first() {
    let (server, id) = Server::with_an_order().await;
    server.shop.hear_all(id, &[reserved, authorized, committed, captured]).await;
    let (mut seen, mut cursor) = (vec![], String::new());
    loop {
        let page: Value = server.get(&format!("/{id}/history?limit=2{cursor}")).await.json().await.unwrap();
        seen.extend(page["items"].as_array().unwrap().iter().map(|entry| entry["position"].as_i64().unwrap()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_can_not_be_given_says_why() {
    let server = Server::new().await;
    let nobody = OrderId::new();
    assert_eq!(server.get(&format!("/{nobody}/history")).await.status(), StatusCode::NOT_FOUND);
    let id = server.shop.place().await;
    for field in ["limit", "cursor", "colour"] {
        let answer = server.get(&format!("/{id}/history?{field}=x")).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.json::<Value>().await.unwrap()["errors"][0]["field"], field);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_order_waits_for_is_told_with_the_time_since_when() {
    let (server, id) = Server::with_an_order().await;
    let look = async || -> Value { server.get(&format!("/{id}")).await.json().await.unwrap() };
    let placed = look().await;
    assert_eq!(placed["waiting_for"]["since"], placed["placed_at"]);
    server.shop.hear(reserved(id)).await;
    let reserved = look().await;
    let waits = json!({"fact": "payment.authorized", "from": "payment-svc", "since": reserved["updated_at"]});
    assert_eq!(reserved["waiting_for"], waits);
    server.shop.hear(declined_for_now(id)).await;
    let declined = look().await;
    assert_ne!(declined["updated_at"], reserved["updated_at"]);
    assert_eq!(declined["waiting_for"], waits, "a decline that may pass is not what the order waits for");
    server.shop.hear_all(id, &[short, voided]).await;
    assert_eq!(look().await["waiting_for"], Value::Null);
}
