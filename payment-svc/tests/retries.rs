//! A decline that may pass is tried again, with a timer and a new key.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use payment_svc::domain::{GatewayReply, State};
use payment_svc::gateway::PaymentGateway;
use service_kit::external_calls::ExternalCalls;
use shop::{Order, Shop, gateways::that_agrees};

/// The bank says no for now to the call that is due.
async fn declined_for_now<G: PaymentGateway>(shop: &Shop<G>) -> String {
    let taken = shop.calls.take(10).await.unwrap().remove(0);
    let answer = GatewayReply::NotNow { code: "processing_error".to_owned() };
    shop.settle(&taken, answer).await;
    taken.key
}

/// The retries that are set: whose, and in how many seconds.
async fn due<G: PaymentGateway>(shop: &Shop<G>) -> Vec<(String, i64)> {
    let due = "select key, round(extract(epoch from due_at - now()))::bigint from timers where kind = 'payment_retry'";
    shop.db.rows(due).await
}

#[tokio::test(flavor = "multi_thread")]
async fn race_declined_retryable_is_tried_again_with_a_new_key_while_the_hold_lives() {
    let (shop, order) = (Shop::new(that_agrees()).await, Order::new("pm_card_visa"));
    shop.hear([order.placed(), order.reserved()]).await;
    let first = declined_for_now(&shop).await;
    let waits = due(&shop).await;
    assert_eq!(waits[0].0, order.id.to_string());
    assert!((25..=30).contains(&waits[0].1), "{waits:?}");
    shop.retry(&order).await;
    let second = declined_for_now(&shop).await;
    assert!(first.ends_with(":authorise:1") && second.ends_with(":authorise:2"), "{first} {second}");
    let waits = due(&shop).await;
    assert!((115..=120).contains(&waits[0].1), "{waits:?}");
    shop.retry(&order).await;
    shop.call_gateway().await;
    assert_eq!(
        shop.said().await,
        ["declined processing_error true", "declined processing_error true", "authorized 2598"]
    );
    assert_eq!(shop.ledger(&order).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_declined_retryable_the_last_decline_is_final() {
    let (shop, order) = (Shop::new(that_agrees()).await, Order::new("pm_card_visa"));
    shop.hear([order.placed(), order.reserved()]).await;
    for _ in 0..2 {
        declined_for_now(&shop).await;
        shop.retry(&order).await;
    }
    declined_for_now(&shop).await;
    assert_eq!(shop.said().await.last().unwrap(), "declined processing_error false");
    shop.retry(&order).await;
    assert_eq!(shop.payment(&order).await.state, State::Declined);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_declined_retryable_is_not_tried_again_once_the_hold_has_expired() {
    let (shop, order) = (Shop::new(that_agrees()).await, Order::new("pm_card_visa"));
    shop.hear([order.placed(), order.reserved()]).await;
    declined_for_now(&shop).await;
    shop.hear([order.expired()]).await;
    shop.retry(&order).await;
    assert_eq!(shop.decided().await, ["authorise refused_for_now"]);
    assert_eq!(shop.payment(&order).await.state, State::WaitingToRetry);
}
