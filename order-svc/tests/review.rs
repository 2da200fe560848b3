//! Orders that staff hold for review, on a real PostgreSQL and over real HTTP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use common::tokens;
use common::*;
use order_svc::commands::{self, ChangeOrderError, DEADLINE_TIMER};
use order_svc::deadline::Deadlines;
use outbox_relay::Nudge;
use serde_json::{Value, json};
use service_kit::timers;
use shared_events::*;

fn expired(order_id: OrderId) -> Event {
    StockExpired { order_id }.into()
}

fn capture_failed(order_id: OrderId) -> Event {
    let code = "charge_expired_for_capture".to_owned();
    PaymentCaptureFailed { order_id, payment_id: PaymentId(order_id.0), code }.into()
}

impl Shop {
    async fn held(&self) -> OrderId {
        let id = self.place().await;
        commands::hold_order(&self.db.pool, id, Some("sam"), "Ten of the same".parse().unwrap()).await.unwrap();
        id
    }

    async fn deadline_passes(&self, id: OrderId) {
        let deadlines = Deadlines::new(Nudge::default());
        let conn = &mut *self.db.conn().await;
        timers::fire_by_hand(conn, &deadlines, DEADLINE_TIMER, &[&id.to_string()]).await.unwrap();
    }

    async fn release(&self, id: OrderId) {
        commands::release_order(&self.db.pool, id, Some("sam")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn race_held_for_review_what_is_heard_meanwhile_counts_at_the_release() {
    let shop = Shop::new().await;
    let id = shop.held().await;
    shop.hear_all(id, &[reserved, authorized]).await;
    shop.deadline_passes(id).await;
    shop.hear(expired(id)).await;
    assert_eq!(shop.status(id).await, "pending");
    let waiting = shop.order(id).await.progress.waiting_for().unwrap();
    assert_eq!((waiting.fact, waiting.from), ("order.confirmed", "staff"));
    shop.release(id).await;
    shop.release(id).await;
    assert_eq!(shop.status(id).await, "confirmed");
    let said = ["order.placed.v1", "order.held.v1", "order.released.v1", "order.confirmed.v1"];
    assert_eq!(shop.said(id).await, said);
    let notes: Vec<(String, String)> = shop.db.rows("select author, text from order_notes order by id").await;
    let by_sam = |text: &str| ("sam".to_owned(), text.to_owned());
    assert_eq!(notes, [by_sam("Held for review: Ten of the same"), by_sam("Released")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_held_for_review_an_order_whose_money_is_gone_or_never_came_ends() {
    let shop = Shop::new().await;
    let (gone, never) = (shop.held().await, shop.held().await);
    shop.hear_all(gone, &[reserved, authorized, capture_failed, released, voided]).await;
    assert_eq!(shop.status(gone).await, "cancelled payment_expired");
    shop.deadline_passes(never).await;
    assert_eq!(shop.status(never).await, "cancelling timeout");
    let late = commands::release_order(&shop.db.pool, never, None).await;
    assert!(matches!(late, Err(ChangeOrderError::Refused(_))), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn race_held_for_review_a_release_and_a_cancel_at_once_end_as_if_one_came_first() {
    let shop = Shop::new().await;
    let mut came_first = BTreeSet::new();
    // who is polled first mostly comes first
    for round in 0..50 {
        if round >= 10 && came_first.len() == 2 {
            break;
        }
        let id = shop.held().await;
        shop.hear_all(id, &[reserved, authorized]).await;
        let release = commands::release_order(&shop.db.pool, id, None);
        let cancel = commands::cancel_order(&shop.db.pool, id);
        let (released, cancelled) = if round % 2 == 0 {
            tokio::join!(release, cancel)
        } else {
            let (cancelled, released) = tokio::join!(cancel, release);
            (released, cancelled)
        };
        cancelled.unwrap();
        came_first.insert(if released.is_ok() { "release" } else { "cancel" });
        assert_eq!(shop.status(id).await, "cancelling customer");
        let said = shop.said(id).await;
        let confirmed = said.iter().any(|said| said == "order.confirmed.v1");
        assert_eq!(confirmed, released.is_ok(), "{said:?}");
        assert_eq!(said.last().unwrap(), "order.cancel_requested.v1");
    }
    assert_eq!(came_first.into_iter().collect::<Vec<_>>(), ["cancel", "release"], "both were seen to come first");
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_hold_and_release_and_customers_neither_do_nor_learn_why() {
    let shop = tokens::Shop::with_guests().await;
    let (ann, sam, olga) = (shop.token("ann"), shop.token("sam"), shop.token("olga"));
    let order = shop.placed(Some(&ann), "ann").await;
    let path = |action: &str| format!("/{}{action}", order["id"].as_str().unwrap());
    let why = || Some(json!({"reason": "secret-words"}));
    for token in [&ann, &olga] {
        assert_eq!(shop.ask("POST", &path("/hold"), Some(token), why()).await.0, 403);
        assert_eq!(shop.ask("POST", &path("/release"), Some(token), None).await.0, 403);
    }
    let (status, problem) = shop.ask("POST", &path("/release"), Some(&sam), None).await;
    assert_eq!((status, &problem["code"]), (409, &json!("not_held")));
    for bad in [json!({}), json!({"reason": ""}), json!({"reason": "a".repeat(201)}), json!({"reason": "a\nb"})] {
        let (status, problem) = shop.ask("POST", &path("/hold"), Some(&sam), Some(bad)).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("reason")));
    }
    for _ in 0..2 {
        let (status, held) = shop.ask("POST", &path("/hold"), Some(&sam), why()).await;
        assert_eq!((status, &held["status"]), (200, &json!("pending")));
        assert_eq!(held["staff"]["hold"]["reason"], "secret-words");
    }
    let (status, problem) = shop.ask("POST", &path("/hold"), Some(&sam), Some(json!({"reason": "another"}))).await;
    assert_eq!((status, &problem["code"]), (409, &json!("held_otherwise")), "it would be lost: {problem}");
    let id: OrderId = order["id"].as_str().unwrap().parse().unwrap();
    shop.server.shop.hear_all(id, &[reserved, authorized]).await;
    let (_, seen) = shop.ask("GET", &path(""), Some(&ann), None).await;
    assert_eq!((&seen["waiting_for"]["from"], &seen["staff"]), (&json!("staff"), &Value::Null));
    assert!(!seen.to_string().contains("secret-words"), "{seen}");
    for _ in 0..2 {
        let (status, released) = shop.ask("POST", &path("/release"), Some(&sam), None).await;
        assert_eq!((status, &released["status"]), (200, &json!("confirmed")));
    }
    let (status, problem) = shop.ask("POST", &path("/hold"), Some(&sam), why()).await;
    assert_eq!((status, &problem["code"]), (409, &json!("too_late")));
    let (_, history) = shop.ask("GET", &path("/history"), Some(&sam), None).await;
    let types: Vec<_> = history["items"].as_array().unwrap().iter().map(|entry| entry["type"].clone()).collect();
    assert!(types.contains(&json!("order.held.v1")) && types.contains(&json!("order.released.v1")), "{types:?}");
}
