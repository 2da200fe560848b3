//! What the console hears and keeps.

mod common;

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use common::Console;
use console::heard::ConsoleReactions;
use console::store::{events, figures, money, orders};
use quadrille_testing::{placed, record_numbered};
use serde_json::json;
use service_kit::consumer::Reactions;
use service_kit::consumer::testing::react_to_all;
use service_kit::housekeeping::prune;
use shared_events::{
    CancelReason, Currency, Event, Money, OrderCancelled, OrderConfirmed, OrderEvent, OrderForgotten, OrderId,
    PaymentCaptured, PaymentEvent, PaymentId,
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

fn order_placed(order: OrderId) -> Event {
    OrderEvent::Placed(placed(order, &[("TEA-EARL-GREY-250", 2)])).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_kept_once_with_its_headers_and_its_order_is_summed_up() {
    let (console, order) = (Console::start().await, OrderId::new());
    let record = record_numbered(&order_placed(order), 1, Utc::now());
    console.hear(&record).await;
    console.hear(&record).await;
    let mut conn = console.db.conn().await;
    let kept = events::of_order(&mut conn, order.0).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].event_type.as_str(), kept[0].topic.as_str()), ("order.placed.v1", "orders.v1"));
    assert!(kept[0].headers.iter().any(|(name, value)| name == "ce_id" && *value == kept[0].id.to_string()));
    let summary = orders::find(&mut conn, order.0).await.unwrap().unwrap();
    assert_eq!((summary.total, summary.email.as_deref()), (Some(25_98), Some("ann@example.com")));
    let by_sku = orders::Search { text: Some("TEA-EARL-GREY-250".to_owned()), ..Default::default() };
    assert_eq!(orders::search(&mut conn, &by_sku, 10).await.unwrap(), [summary]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_is_told_of_an_order_once_it_is_saved_and_not_by_another_s_commit() {
    let (console, first, second) = (Console::start().await, OrderId::new(), OrderId::new());
    let mut heard = console.changes.listen();
    let reactions = Arc::new(ConsoleReactions::new(console.changes.clone()));
    // Two lanes, each in a task of its own: the one has not committed yet when the other has.
    let (has_saved, saved) = oneshot::channel();
    let (may_commit, commit) = oneshot::channel::<()>();
    let (lane, pool) = (Arc::clone(&reactions), console.db.pool.clone());
    let lane = tokio::spawn(async move {
        let record = record_numbered(&order_placed(first), 1, Utc::now());
        react_to_all(&mut pool.get().await.unwrap(), &*lane, &[record]).await.unwrap();
        has_saved.send(()).unwrap();
        commit.await.unwrap();
        lane.committed();
    });
    saved.await.unwrap();
    let record = record_numbered(&order_placed(second), 1, Utc::now());
    react_to_all(&mut *console.db.conn().await, &*reactions, &[record]).await.unwrap();
    reactions.committed();
    assert_eq!((heard.try_recv().ok(), heard.try_recv().ok()), (Some(second.0), None));
    may_commit.send(()).unwrap();
    lane.await.unwrap();
    assert_eq!(heard.try_recv().ok(), Some(first.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_confirmed_and_cancelled_is_counted_by_its_reason() {
    let (console, order, at) = (Console::start().await, OrderId::new(), Utc::now() - TimeDelta::seconds(30));
    let told = [
        OrderEvent::Cancelled(OrderCancelled::new(order, CancelReason::OutOfStock)).into(),
        OrderEvent::Confirmed(OrderConfirmed { order_id: order }).into(),
        order_placed(order),
    ];
    // Later ones are heard first.
    for (step, event) in told.iter().enumerate() {
        let step = i64::try_from(step).unwrap();
        console.hear(&record_numbered(event, 3 - step, at - TimeDelta::seconds(step))).await;
    }
    let now = figures::now(&mut *console.db.conn().await).await.unwrap();
    assert_eq!((now.pending, now.confirmed, now.cancelled), (0, 0, 1));
    assert_eq!(now.reasons, [("out_of_stock".to_owned(), 1)]);
    assert_eq!(now.confirm_p50, Some(1.0));
    let hour = figures::last_hour(&mut *console.db.conn().await).await.unwrap();
    assert_eq!(hour.len(), 60);
    assert_eq!(
        hour.iter()
            .map(|minute| (minute.placed, minute.cancelled))
            .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1)),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_order_whose_person_is_forgotten_no_name_stays() {
    let (console, order) = (Console::start().await, OrderId::new());
    console.hear(&record_numbered(&order_placed(order), 1, Utc::now())).await;
    let forgotten = OrderEvent::Forgotten(OrderForgotten { order_id: order, customer_id: "c-1001".parse().unwrap() });
    console.hear(&record_numbered(&forgotten.into(), 2, Utc::now())).await;
    // One that was late.
    console.hear(&record_numbered(&order_placed(order), 3, Utc::now())).await;
    let mut conn = console.db.conn().await;
    let summary = orders::find(&mut conn, order.0).await.unwrap().unwrap();
    assert_eq!((summary.customer_name, summary.email, summary.total), (None, None, Some(25_98)));
    let kept = events::of_order(&mut conn, order.0).await.unwrap();
    assert!(kept.iter().all(|event| event.body.is_none()), "{kept:?}");
    assert_eq!(console.db.count("events where headers::text like '%ann@%' or body like '%ann@%'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_event_says_of_money_stays_when_its_person_is_forgotten() {
    let (console, order) = (Console::start().await, OrderId::new());
    let (payment_id, amount) = (PaymentId::new(), Money::new(25_98, Currency::EUR).unwrap());
    let captured: Event = PaymentEvent::Captured(PaymentCaptured { order_id: order, payment_id, amount }).into();
    console.hear(&record_numbered(&order_placed(order), 1, Utc::now())).await;
    console.hear(&record_numbered(&captured, 1, Utc::now())).await;
    let forgotten = OrderEvent::Forgotten(OrderForgotten { order_id: order, customer_id: "c-1001".parse().unwrap() });
    console.hear(&record_numbered(&forgotten.into(), 2, Utc::now())).await;
    let mut conn = console.db.conn().await;
    let of_money = money::announced_of(&mut conn, &[order.0], &["payment.captured.v1"]).await.unwrap();
    let [event] = &of_money[..] else { panic!("{of_money:?}") };
    assert_eq!((&event.body, &event.money.as_ref().unwrap()["amount"]["amount"]), (&None, &json!(25_98)));
    let placed = events::of_order(&mut conn, order.0).await.unwrap();
    assert!(placed.iter().all(|event| event.topic == "payments.v1" || event.money.is_none()), "{placed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_goes_on_stays_however_long_nothing_is_heard_of_it() {
    let (console, going_on, ended) = (Console::start().await, OrderId::new(), OrderId::new());
    for order in [going_on, ended] {
        console.hear(&record_numbered(&order_placed(order), 1, Utc::now())).await;
    }
    let cancelled = OrderEvent::Cancelled(OrderCancelled::new(ended, CancelReason::Timeout));
    console.hear(&record_numbered(&cancelled.into(), 2, Utc::now())).await;
    console.db.run("update orders set last_event_at = now() - interval '31 days'").await;
    for rule in console::app::times_to_live() {
        prune(&console.db.pool, &rule, &CancellationToken::new()).await.unwrap();
    }
    let left: Vec<uuid::Uuid> = console.db.rows("select id from orders").await;
    assert_eq!(left, [going_on.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_at_an_order_is_told_once_it_is_committed_and_a_batch_is_saved_at_once() {
    let (console, first, second) = (Console::start().await, OrderId::new(), OrderId::new());
    let mut changed = console.changes.listen();
    let reactions = ConsoleReactions::new(console.changes.clone());
    let records = [first, second].map(|order| record_numbered(&order_placed(order), 1, Utc::now()));
    react_to_all(&mut *console.db.conn().await, &reactions, &records).await.unwrap();
    assert!(changed.try_recv().is_err(), "it is not committed for those who listen");
    service_kit::consumer::Reactions::committed(&reactions);
    let mut told = [changed.recv().await.unwrap(), changed.recv().await.unwrap()];
    let mut orders = [first.0, second.0];
    told.sort_unstable();
    orders.sort_unstable();
    assert_eq!(told, orders);
}
