//! What is deleted when it has passed its time to live, and what stays, on a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::*;
use notification_svc::housekeeping::times_to_live;
use service_kit::testing::prune_all;
use shared_events::OrderId;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Lets all messages grow older by two days, and deletes what has passed a time to live of one.
async fn two_days_pass(shop: &Shop) -> i64 {
    shop.db.run("update notifications set created_at = created_at - interval '2 days'").await;
    prune_all(&shop.db.pool, &times_to_live(DAY)).await
}

/// Hears of an order that was placed and confirmed, and sends both messages.
async fn told_of(shop: &mut Shop) -> OrderId {
    let order = OrderId::new();
    shop.hear(placed(order)).await;
    shop.hear(confirmed(order)).await;
    shop.takes_and_sends().await;
    shop.takes_and_sends().await;
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_an_order_go_together_once_the_last_of_them_is_old() {
    let mut shop = Shop::new().await;
    let order = told_of(&mut shop).await;
    assert_eq!(prune_all(&shop.db.pool, &times_to_live(DAY)).await, 0, "they are young");
    shop.db
        .run("update notifications set created_at = now() - interval '2 days' where template = 'order_placed'")
        .await;
    assert_eq!(prune_all(&shop.db.pool, &times_to_live(DAY)).await, 0, "one of them is young");
    assert_eq!(two_days_pass(&shop).await, 2);
    assert!(shop.messages().await.is_empty());

    shop.hear(dispatched(order)).await;
    assert_eq!(shop.takes_and_sends().await, ["shipment_dispatched"], "it waits for no confirmation that is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waits_to_be_sent_stays_with_all_that_its_order_was_told() {
    let mut shop = Shop::new().await;
    let order = told_of(&mut shop).await;
    shop.hear(dispatched(order)).await;
    assert_eq!(two_days_pass(&shop).await, 0);
    assert_eq!(shop.takes_and_sends().await, ["shipment_dispatched"]);
    assert_eq!(two_days_pass(&shop).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_that_waits_for_its_customer_stays() {
    let mut shop = Shop::new().await;
    let order = OrderId::new();
    shop.hear(confirmed(order)).await;
    assert_eq!(two_days_pass(&shop).await, 0);
    shop.hear(placed(order)).await;
    assert_eq!(shop.told().await.len(), 2);
}
