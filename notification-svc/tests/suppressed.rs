//! Mails that are no longer true when they are to be sent, on a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::{Arc, Mutex};

use common::*;
use notification_svc::delivery::{Deliveries, Message, Sender, Sending};
use notification_svc::domain::Channel;
use service_kit::external_calls::ExternalCalls;
use shared_events::*;

/// A mail server that takes every mail.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Vec<String>>>);

impl Sender for Server {
    fn send(&self, message: Message) -> Sending {
        self.0.lock().unwrap().push(message.template);
        Box::pin(async { Ok(()) })
    }
}

/// Has everything sent that is to be sent, and says which texts went out.
async fn sent(shop: &Shop) -> Vec<String> {
    let server = Server::default();
    let deliveries = Deliveries::new(shop.db.pool.clone(), Channel::Email, Arc::new(server.clone()), || {});
    loop {
        let due = deliveries.take(100).await.unwrap();
        if due.is_empty() {
            return server.0.lock().unwrap().drain(..).collect();
        }
        Shop::performs(&deliveries, due).await;
    }
}

fn requested(order_id: OrderId) -> OrderCancelRequested {
    OrderCancelRequested { order_id, reason: CancelReason::Customer }
}

fn redirected(order_id: OrderId, line1: &str) -> OrderAddressChanged {
    let delivery_address = Address { line1: line1.parse().unwrap(), ..placed(order_id).delivery_address };
    OrderAddressChanged { order_id, delivery_address }
}

fn suppressed(events: &[Event]) -> Vec<(&str, SuppressReason)> {
    let told = |event| match event {
        &Event::Notification(NotificationEvent::Suppressed(ref told)) => Some((told.template.as_str(), told.reason)),
        _ => None,
    };
    events.iter().filter_map(told).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_promised_an_order_that_is_to_end() {
    let (mut shop, order) = Shop::with_an_order().await;
    shop.hear(confirmed(order)).await;
    shop.hear(requested(order)).await;
    assert!(sent(&shop).await.is_empty());
    let ending = SuppressReason::OrderEnding;
    assert_eq!(suppressed(&shop.said().await), [("order_placed", ending), ("order_confirmed", ending)]);
    assert!(shop.messages().await.iter().all(|message| message.attempts == 0));

    shop.hear(refunded(order, 2598, 0)).await;
    shop.hear(cancelled(order)).await;
    assert_eq!(sent(&shop).await, ["payment_refunded", "order_cancelled"]);
    let told = shop.told().await.into_iter().map(|(_, status)| status).collect::<Vec<_>>();
    assert_eq!(told, ["suppressed", "suppressed", "sent", "sent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_to_confirm_a_payment_that_is_confirmed_or_no_longer_wanted() {
    let mut shop = Shop::new().await;
    let [waits, paid, ended] = [OrderId::new(), OrderId::new(), OrderId::new()];
    for order in [waits, paid, ended] {
        shop.hear(placed(order)).await;
        shop.hear(action_required(order)).await;
    }
    shop.hear(confirmed(paid)).await;
    shop.hear(requested(ended)).await;
    let mut went_out = sent(&shop).await;
    went_out.sort();
    assert_eq!(went_out, ["order_confirmed", "order_placed", "order_placed", "payment_action_required"]);
    let said = shop.said().await;
    let told = suppressed(&said);
    assert!(told.contains(&("payment_action_required", SuppressReason::Superseded)), "{told:?}");
    assert!(told.contains(&("payment_action_required", SuppressReason::OrderEnding)), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_that_was_refused_takes_no_promise_back() {
    let (mut shop, order) = Shop::with_an_order().await;
    shop.hear(confirmed(order)).await;
    shop.hear(requested(order)).await;
    shop.hear(OrderCancelRefused { order_id: order, reason: CancelRefusedReason::Dispatched }).await;
    shop.hear(dispatched(order)).await;
    assert_eq!(sent(&shop).await, ["order_placed", "order_confirmed", "order_cancel_refused", "shipment_dispatched"]);
    let messages = shop.messages().await;
    let told = messages.iter().find(|message| message.template == "order_cancel_refused").unwrap();
    assert!(told.body.as_ref().unwrap().contains("A parcel of it had left our warehouse"), "with the reason");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tells_of_a_parcel_is_true_whatever_follows() {
    let (mut shop, order) = Shop::with_an_order().await;
    shop.hear(confirmed(order)).await;
    shop.hear(requested(order)).await;
    shop.hear(dispatched(order)).await;
    assert_eq!(sent(&shop).await, ["shipment_dispatched"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_in_time_stays_sent() {
    let (mut shop, order) = Shop::with_an_order().await;
    assert_eq!(sent(&shop).await, ["order_placed"]);
    shop.hear(cancelled(order)).await;
    assert_eq!(sent(&shop).await, ["order_cancelled"]);
    assert_eq!(suppressed(&shop.said().await), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_of_address_the_customer_reads_the_last() {
    let (mut shop, order) = Shop::with_an_order().await;
    shop.hear(redirected(order, "2 Quay St")).await;
    shop.hear(redirected(order, "3 Quay St")).await;
    assert_eq!(sent(&shop).await, ["order_placed", "order_address_changed"]);
    assert_eq!(suppressed(&shop.said().await), [("order_address_changed", SuppressReason::Superseded)]);
    let last = shop.messages().await.pop().unwrap();
    assert_eq!(last.status, "sent");
    assert!(last.body.unwrap().contains("\n3 Quay St\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn race_crash_around_mail_and_a_cancellation_suppress_it_once() {
    let (mut shop, order) = Shop::with_an_order().await;
    let deliveries = Deliveries::new(shop.db.pool.clone(), Channel::Email, Arc::new(Server::default()), || {});
    shop.hear(requested(order)).await;
    let crashed = deliveries.take(1).await.unwrap().remove(0);
    shop.time_passes().await;
    assert!(sent(&shop).await.is_empty());
    Shop::performs(&deliveries, [crashed]).await;
    assert_eq!(suppressed(&shop.said().await).len(), 1);
    assert_eq!(shop.told().await, [("order_placed".to_owned(), "suppressed".to_owned())]);
}
