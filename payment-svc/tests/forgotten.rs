//! An order's customer is forgotten: what staff wrote goes, and no money moves. With the real sandbox gateway.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use std::collections::BTreeSet;

use quadrille_testing::tables_that_name_beside_the_outbox;
use serde_json::{Value, json};
use service_kit::consumer::Outcome;
use shared_events::{Event, OrderForgotten};
use shop::scene::Scene;

const NAME: &str = "Zoë Quill";

impl Scene {
    fn forgotten(&self) -> Event {
        OrderForgotten { order_id: self.order.id, customer_id: "c-1001".parse().unwrap() }.into()
    }

    async fn refunds(&self, key: &str, amount: i64) -> (u16, Value) {
        let reason = format!("{NAME} found a dented tin");
        self.post("refunds", Some(key), &json!({"amount": {"amount": amount, "currency": "EUR"}, "reason": reason}))
            .await
    }

    async fn named_in(&self) -> BTreeSet<String> {
        tables_that_name_beside_the_outbox(&self.shop.db, &[NAME, "Ann Lee", "ann@example.com", "1 Quay St"]).await
    }
}

fn tables<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_table_keeps_what_was_written_of_whoever_is_forgotten_and_the_money_stays() {
    let scene = Scene::captured().await;
    let (_, refund) = scene.refunds("k-1", 598).await;
    scene.shop.call_gateway().await;
    assert_eq!(scene.named_in().await, tables(["refunds", "idempotency_keys"]));
    let (money, said) = (scene.money().await, scene.shop.said().await);
    assert_eq!(scene.shop.hear([scene.forgotten()]).await, Outcome::Applied);
    assert_eq!(scene.named_in().await, tables([]));
    assert_eq!((scene.money().await, scene.shop.said().await), (money, said), "nothing follows from it");
    let (status, again) = scene.refunds("k-1", 598).await;
    assert_eq!((status, &again["id"], &again["reason"]), (202, &refund["id"], &Value::Null));
    let (_, shown) = scene.served.read(&format!("/{}", scene.id().await)).await;
    assert_eq!((&shown["refunds"][0]["amount"]["amount"], &shown["refunds"][0]["reason"]), (&json!(598), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_keeps_its_reference_and_loses_its_reason() {
    let scene = Scene::captured().await;
    let (_, refund) = scene.refunds("k-1", 598).await;
    scene.shop.call_gateway().await;
    scene.shop.db.run("update refunds set state = 'failed'").await;
    let path = format!("refunds/{}/settle-outside", refund["id"].as_str().unwrap());
    let body = json!({"reason": format!("{NAME} has closed the card"), "reference": "SEPA 0042"});
    let (status, settled) = scene.post(&path, Some("k-2"), &body).await;
    assert_eq!(status, 200, "{settled}");
    scene.shop.hear([scene.forgotten()]).await;
    assert_eq!(scene.named_in().await, tables([]));
    let (_, shown) = scene.served.read(&format!("/{}", scene.id().await)).await;
    let outside = &shown["refunds"][0]["settled_outside"];
    assert_eq!((&outside["reference"], &outside["reason"]), (&json!("SEPA 0042"), &json!("forgotten")));
}

#[tokio::test(flavor = "multi_thread")]
async fn race_forgotten_meanwhile_staff_still_give_money_back_and_a_second_delivery_changes_nothing() {
    let scene = Scene::captured().await;
    scene.shop.hear([scene.forgotten()]).await;
    let (status, refund) = scene.refunds("k-1", 598).await;
    assert_eq!(status, 202, "{refund}");
    scene.shop.call_gateway().await;
    assert_eq!(scene.money().await.last().unwrap(), "refund 598");
    let said = scene.shop.said().await;
    scene.shop.hear([scene.forgotten()]).await;
    assert_eq!(scene.shop.said().await, said);
    assert_eq!(scene.named_in().await, tables([]), "what was written since goes when it is heard again");
}
