//! What becomes of an event that this service hears, on a real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use notification_svc::reactions::NotificationReactions;
use outbox_relay::DeadLetters;
use service_kit::consumer::testing::react_as;
use service_kit::consumer::{Outcome, Reactions, Record, Subscription, Why};
use shared_events::*;

fn queued(template: &str) -> (String, String) {
    (template.to_owned(), "queued".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fact_that_a_customer_cares_for_makes_one_message() {
    let mut shop = Shop::new().await;
    let order = OrderId::new();
    assert_eq!(shop.hear(placed(order)).await, Outcome::Applied);
    shop.hear(action_required(order)).await;
    shop.hear(confirmed(order)).await;
    let parcel = dispatched(order);
    shop.hear(parcel.clone()).await;
    shop.hear(ShipmentTrackingCorrected {
        order_id: order,
        shipment_id: parcel.shipment_id,
        carrier: parcel.carrier,
        tracking_number: "CE2".parse().unwrap(),
        previous_tracking_number: Some(parcel.tracking_number),
    })
    .await;
    shop.hear(ShipmentDelivered { order_id: order, shipment_id: parcel.shipment_id }).await;
    shop.hear(refunded(order, 1299, 1299)).await;
    shop.hear(cancelled(order)).await;
    let templates = [
        "order_placed",
        "payment_action_required",
        "order_confirmed",
        "shipment_dispatched",
        "shipment_tracking_corrected",
        "shipment_delivered",
        "payment_refunded",
        "order_cancelled",
    ];
    assert_eq!(shop.told().await, templates.map(queued));
    assert!(shop.messages().await.iter().all(|message| message.recipient.as_deref() == Some("ann@example.com")));
}

#[tokio::test(flavor = "multi_thread")]
async fn race_delivered_twice_makes_no_second_message_even_after_the_inbox_has_forgotten() {
    let mut shop = Shop::new().await;
    let record = shop.says(placed(OrderId::new()));
    shop.hears(&record).await;
    assert_eq!(shop.hears(&record).await, Outcome::Duplicate);
    shop.inbox_forgets().await;
    assert_eq!(shop.hears(&record).await, Outcome::Duplicate);
    assert_eq!(shop.told().await, [queued("order_placed")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_heard_before_the_order_was_placed_are_kept_and_told_when_it_is() {
    let mut shop = Shop::new().await;
    let order = OrderId::new();
    let first = shop.says(placed(order));
    shop.hear(dispatched(order)).await;
    shop.hear(refunded(order, 100, 2498)).await;
    assert_eq!(shop.told().await, [queued("shipment_dispatched"), queued("payment_refunded")]);
    assert!(shop.messages().await.iter().all(|message| message.recipient.is_none() && message.body.is_none()));
    assert!(shop.take().await.is_empty(), "nobody knows yet whom to write to");

    shop.hears(&first).await;
    let messages = shop.messages().await;
    assert_eq!(messages.len(), 3);
    assert!(messages.iter().all(|message| message.recipient.as_deref() == Some("ann@example.com")));
    assert!(messages[0].body.as_ref().is_some_and(|body| body.contains("Tracking number: CE1")));
    assert!(messages[1].body.as_ref().is_some_and(|body| body.contains("given back 1.00 EUR")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_was_short_is_called_what_the_customer_ordered_it_as() {
    let (mut shop, order) = Shop::with_an_order().await;
    let line = |sku: &str| Shortage { sku: sku.parse().unwrap(), requested: 2.try_into().unwrap(), available: 1 };
    shop.hear(OrderCancelled { shortages: vec![line("TEA"), line("POT")], ..cancelled(order) }).await;
    let body = shop.messages().await.pop().unwrap().body.unwrap();
    assert!(body.contains("\nEarl Grey: you wanted 2, 1 is left\nPOT: you wanted 2, 1 is left\n"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_called_off_is_called_what_the_customer_ordered_it_as_also_where_that_is_heard_later() {
    let mut shop = Shop::new().await;
    for placed_first in [true, false] {
        let order = OrderId::new();
        let first = shop.says(placed(order));
        if placed_first {
            shop.hears(&first).await;
        }
        let lines = quadrille_testing::lines(&[("TEA", 2)]);
        shop.hear(StockRestocked { order_id: order, cause: RestockCause::CalledOff, lines }).await;
        shop.hears(&first).await;
        let told = shop.messages().await.into_iter().rfind(|message| message.template == "order_called_off").unwrap();
        assert!(told.body.as_ref().unwrap().contains("\n2 x Earl Grey\n"), "{:?}", told.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_of_one_order_leave_in_the_order_of_their_facts_one_at_a_time() {
    let mut shop = Shop::new().await;
    let (order, other) = (OrderId::new(), OrderId::new());
    let first = shop.says(placed(order));
    shop.hear(confirmed(order)).await;
    shop.hears(&first).await;
    shop.hear(placed(other)).await;
    let taken = shop.take().await;
    assert!(taken.iter().all(|due| due.template == "order_placed"), "the confirmation waits for it");
    assert_eq!(taken.len(), 2);
    assert!(shop.take().await.is_empty(), "leased");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_of_a_parcel_before_the_confirmation_even_when_that_is_heard_later_or_dated_later() {
    let (mut shop, order) = Shop::with_an_order().await;
    let parcel = dispatched(order);
    shop.hear(parcel.clone()).await;
    shop.hear(ShipmentDelivered { order_id: order, shipment_id: parcel.shipment_id }).await;
    assert_eq!(shop.takes_and_sends().await, ["order_placed"]);
    assert!(shop.takes_and_sends().await.is_empty(), "not confirmed yet");
    shop.hear(refunded(order, 1299, 1299)).await;
    shop.hear(confirmed(order)).await;
    for expected in ["payment_refunded", "order_confirmed", "shipment_dispatched", "shipment_delivered"] {
        assert_eq!(shop.takes_and_sends().await, [expected]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refund_is_told_by_itself() {
    let (mut shop, order) = Shop::with_an_order().await;
    shop.hear(refunded(order, 1000, 1598)).await;
    shop.hear(refunded(order, 1598, 0)).await;
    assert_eq!(shop.told().await[1..], [queued("payment_refunded"), queued("payment_refunded")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_customer_cares_for_leaves_no_message() {
    let mut shop = Shop::new().await;
    let order_id = OrderId::new();
    let ignored = Outcome::Ignored(Why::NotForUs);
    assert_eq!(shop.hear(StockCommitted { order_id }).await, ignored);
    assert_eq!(shop.hear(OrderCompleted { order_id }).await, ignored);
    assert!(shop.told().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_can_not_be_read_leaves_a_copy_in_the_dead_letter_topic() {
    let shop = Shop::new().await;
    let order = OrderId::new().to_string();
    let headers = [("ce_id", EventId::new().to_string()), ("ce_type", "order.placed.v1".to_owned())];
    let record = Record::sent("orders.v1", order.as_str(), headers, "{}");
    let (topic, sink) = (Subscription::inbox("orders.v1"), DeadLetters);
    let outcome =
        react_as(&shop.db.pool, notification_svc::GROUP, &topic, &shop.reactions, &sink, &record).await.unwrap();
    assert!(matches!(outcome, Outcome::DeadLettered(why) if why.contains("order_id")));
    let copies = outbox(&shop.db).await;
    assert_eq!([copies[0].topic.as_str(), &copies[0].key], ["notification-svc.dlq", &order]);
}

/// The kit reads the envelope by itself, since it names no event of the shop: this holds the two together.
#[tokio::test(flavor = "multi_thread")]
async fn the_kit_reads_headers_as_shared_events_writes_them() {
    let mut shop = Shop::new().await;
    let record = shop.says(placed(OrderId::new()));
    shop.hears(&record).await;
    let event = |name: &str| record.header(name).unwrap().to_owned();
    let kept: Vec<(uuid::Uuid, chrono::DateTime<chrono::Utc>)> = {
        use diesel::QueryDsl;
        use diesel_async::RunQueryDsl;
        use notification_svc::schema::notifications::dsl::*;
        notifications.select((event_id, happened_at)).load(&mut *shop.db.conn().await).await.unwrap()
    };
    assert_eq!(kept[0].0.to_string(), event("ce_id"));
    assert_eq!(
        kept[0].1.timestamp_micros(),
        event("ce_time").parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp_micros()
    );
}

#[test]
fn a_type_from_the_future_is_told_apart_from_poison() {
    use service_kit::consumer::Undecodable;
    let reactions = NotificationReactions::new(notification_svc::domain::Writer::new().unwrap(), []);
    assert_eq!(reactions.decode("order.wrapped.v1", b"{}").unwrap_err(), Undecodable::UnknownType);
    assert!(matches!(reactions.decode("order.placed.v2", b"{}"), Err(Undecodable::Malformed(_))));
    assert!(matches!(reactions.decode("order.placed.v1", b"{}"), Err(Undecodable::Malformed(_))));
}
