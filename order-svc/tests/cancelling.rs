//! Orders that staff cancel: who may say why, who is told, and what is on record.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::tokens::Shop;
use common::*;
use quadrille_testing::issuer::claims;
use serde_json::{Value, json};
use shared_events::OrderId;

fn suspected() -> Option<Value> {
    Some(json!({"reason": "fraud_suspected", "note": "A card of another country"}))
}

/// What the token of a program says that may read and write orders.
fn machine(shop: &Shop) -> Value {
    let mut claims = claims(&shop.issuer, "importer", &[]);
    claims["scope"] = json!("orders.read orders.write");
    claims
}

async fn notes(shop: &Shop, id: &str) -> Vec<(Value, Value)> {
    let (_, list) = shop.ask("GET", &format!("/{id}/notes"), Some(&shop.token("sam")), None).await;
    list["items"].as_array().unwrap().iter().map(|note| (note["author"].clone(), note["text"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_cancel_with_a_reason_and_a_note_that_staff_alone_are_shown() {
    let shop = Shop::with_guests().await;
    let (ann, sam, olga) = (shop.token("ann"), shop.token("sam"), shop.token("olga"));
    let order = shop.placed(Some(&ann), "ann").await;
    let id = order["id"].as_str().unwrap();
    let path = format!("/{id}/cancel");
    let (status, cancelled) = shop.ask("POST", &path, Some(&sam), suspected()).await;
    assert_eq!((status, &cancelled["status"], &cancelled["reason"]), (202, &json!("cancelling"), &json!("staff")));
    assert_eq!(cancelled["staff"], json!({"cancel_reason": "fraud_suspected", "hold": null}));
    for (body, expected) in
        [(json!({"reason": "fraud_suspected"}), 202), (json!({"reason": "other", "note": "no"}), 409)]
    {
        let (status, again) = shop.ask("POST", &path, Some(&sam), Some(body)).await;
        assert_eq!(status, expected, "the first reason stays: {again}");
    }
    let more = json!({"reason": "fraud_suspected", "note": "And a third order"});
    assert_eq!(shop.ask("POST", &path, Some(&sam), Some(more)).await.0, 202);
    let noted = |text: &str| (json!("sam"), json!(format!("Cancelled: fraud_suspected\n{text}")));
    let both = [noted("And a third order"), noted("A card of another country")];
    assert_eq!(notes(&shop, id).await, both, "what is said is never lost");

    let id: OrderId = id.parse().unwrap();
    let shop_of = &shop.server.shop;
    shop_of.hear_all(id, &[released, voided]).await;
    assert_eq!(shop_of.status(id).await, "cancelled staff");
    assert_eq!(shop_of.said(id).await, ["order.placed.v1", "order.cancel_requested.v1", "order.cancelled.v1"]);
    let (_, history) = shop.ask("GET", &format!("/{id}/history"), Some(&sam), None).await;
    let asked = &history["items"][1];
    assert_eq!([&asked["type"], &asked["reason"]], [&json!("order.cancel_requested.v1"), &json!("staff")]);
    for path in [format!("/{id}"), String::new(), format!("/{id}/history")] {
        let (_, seen) = shop.ask("GET", &path, Some(&ann), None).await;
        assert!(!seen.to_string().contains("fraud") && !seen.to_string().contains("another country"), "{seen}");
    }
    let (_, seen) = shop.ask("GET", &format!("/{id}"), Some(&olga), None).await;
    assert_eq!(seen["staff"]["cancel_reason"], "fraud_suspected");
    let (_, actions) = shop.ask("GET", "/api/v1/actions?sub=sam", Some(&olga), None).await;
    let paths: Vec<_> = actions["items"].as_array().unwrap().iter().map(|action| action["path"].clone()).collect();
    assert_eq!(paths, vec![json!(format!("/api/v1/orders{path}")); 4]);
    let machine = shop.issuer.signers[0].token(&machine(&shop));
    let (status, seen) = shop.ask("GET", &format!("/{id}"), Some(&machine), None).await;
    assert_eq!(
        (status, &seen["reason"], &seen["staff"]),
        (200, &json!("staff"), &Value::Null),
        "it is nobody of staff"
    );
    let (status, problem) = shop.ask("POST", &path, Some(&machine), suspected()).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("reason")), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_and_guests_say_no_reason_and_staff_no_note_without_one() {
    let shop = Shop::with_guests().await;
    let (ann, sam) = (shop.token("ann"), shop.token("sam"));
    let order = shop.placed(Some(&ann), "ann").await;
    let guests = shop.placed(None, "guest-1").await;
    let token = guests["links"]["guest"].as_str().unwrap().rsplit_once('=').unwrap().1;
    let path = |order: &Value| format!("/{}/cancel", order["id"].as_str().unwrap());
    for (token, order) in [(ann.as_str(), &order), (token, &guests)] {
        for (body, field) in [(json!({"reason": "other"}), "reason"), (json!({"note": "I don't like it"}), "note")] {
            let (status, problem) = shop.ask("POST", &path(order), Some(token), Some(body)).await;
            assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!(field)));
        }
    }
    for (body, field) in [
        (json!({"note": "why"}), "reason"),
        (json!({"reason": "boredom"}), "reason"),
        (json!({"reason": "other", "note": ""}), "note"),
        (json!({"reason": "other", "refund": true}), "refund"),
    ] {
        let (status, problem) = shop.ask("POST", &path(&order), Some(&sam), Some(body)).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!(field)));
    }
    assert_eq!(shop.server.shop.db.count("order_notes").await, 0);
    for body in [None, Some(json!({}))] {
        let (status, cancelled) = shop.ask("POST", &path(&order), Some(&sam), body).await;
        assert_eq!((status, &cancelled["reason"]), (202, &json!("customer")), "staff do it for the customer");
        assert_eq!(cancelled["staff"], Value::Null);
    }
}
