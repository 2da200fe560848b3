//! What the service does about what it hears, on a real database.

mod common;

use common::*;
use order_svc::commands::{self, ChangeOrderError, DEADLINE_TIMER};
use order_svc::deadline::Deadlines;
use outbox_relay::Nudge;
use service_kit::consumer::{Outcome, Why};
use service_kit::timers;
use shared_events::{OrderId, ProductStatus};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_from_placed_to_completed() {
    let (shop, id) = Shop::with_an_order().await;
    let steps: [(Fact, &str); 7] = [
        (reserved, "pending"),
        (authorized, "confirmed"),
        (committed, "confirmed"),
        (captured, "confirmed"),
        (parcel_created, "confirmed"),
        (dispatched, "shipped"),
        (delivered, "completed"),
    ];
    for (fact, status) in steps {
        assert_eq!(shop.hear(fact(id)).await, Outcome::Applied);
        assert_eq!(shop.status(id).await, status);
    }
    assert_eq!(shop.said(id).await, ["order.placed.v1", "order.confirmed.v1", "order.completed.v1"]);
    assert_eq!(shop.order(id).await.version, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_delivered_twice_is_said_once() {
    let (shop, id) = Shop::with_an_order().await;
    shop.hear(reserved(id)).await;
    let authorized = shop.record(authorized(id));
    assert_eq!(shop.hear_record(&authorized).await, Outcome::Applied);
    assert_eq!(shop.hear_record(&authorized).await, Outcome::Duplicate);
    assert_eq!(shop.said(id).await, ["order.placed.v1", "order.confirmed.v1"]);
    assert_eq!(shop.order(id).await.version, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_facts_out_of_order_authorized_before_reserved_ends_as_the_other_way_round() {
    let shop = Shop::new().await;
    let (one, other) = (shop.place().await, shop.place().await);
    shop.hear(reserved(one)).await;
    shop.hear(authorized(one)).await;
    shop.hear(authorized(other)).await;
    shop.hear(reserved(other)).await;
    for id in [one, other] {
        assert_eq!(shop.status(id).await, "confirmed");
        assert_eq!(shop.said(id).await, ["order.placed.v1", "order.confirmed.v1"]);
    }
    assert_eq!(shop.order(one).await.progress.facts, shop.order(other).await.progress.facts);
}

#[tokio::test(flavor = "multi_thread")]
async fn goods_back_and_money_back_end_the_order_in_either_order() {
    let shop = Shop::new().await;
    for facts in [[released, voided], [voided, released]] as [[Fact; 2]; 2] {
        let id = shop.place().await;
        shop.hear(reserved(id)).await;
        commands::cancel_order(&shop.db.pool, id).await.unwrap();
        shop.hear(authorized(id)).await;
        assert_eq!(shop.status(id).await, "cancelling customer");
        shop.hear(facts[0](id)).await;
        assert_eq!(shop.status(id).await, "cancelling customer");
        shop.hear(facts[1](id)).await;
        assert_eq!(shop.status(id).await, "cancelled customer");
        assert_eq!(shop.said(id).await, ["order.placed.v1", "order.cancel_requested.v1", "order.cancelled.v1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decline_and_its_release_end_the_order_in_either_order() {
    let shop = Shop::new().await;
    for facts in [[declined, released], [released, declined]] as [[Fact; 2]; 2] {
        let id = shop.place().await;
        shop.hear(reserved(id)).await;
        shop.hear(facts[0](id)).await;
        shop.hear(facts[1](id)).await;
        assert_eq!(shop.status(id).await, "cancelled payment_declined");
        assert_eq!(shop.said(id).await, ["order.placed.v1", "order.cancelled.v1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn short_stock_ends_the_order_at_once() {
    let (shop, id) = Shop::with_an_order().await;
    shop.hear(short(id)).await;
    assert_eq!(shop.status(id).await, "cancelled out_of_stock");
    assert_eq!(shop.said(id).await, ["order.placed.v1", "order.cancelled.v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_order_that_is_cancelled_ends_when_refunded() {
    let (shop, id) = Shop::with_an_order().await;
    shop.hear_all(id, &[reserved, authorized, committed, captured, parcel_created]).await;
    commands::cancel_order(&shop.db.pool, id).await.unwrap();
    shop.hear_all(id, &[restocked, refunded]).await;
    assert_eq!(shop.status(id).await, "cancelled customer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatch_refuses_a_cancellation_that_came_too_late() {
    let (shop, id) = Shop::with_an_order().await;
    shop.hear_all(id, &[reserved, authorized, committed, captured, parcel_created]).await;
    commands::cancel_order(&shop.db.pool, id).await.unwrap();
    shop.hear(dispatched(id)).await;
    assert_eq!(shop.status(id).await, "shipped");
    let too_late = commands::cancel_order(&shop.db.pool, id).await;
    assert!(matches!(too_late, Err(ChangeOrderError::Refused(_))));
    shop.hear(delivered(id)).await;
    assert_eq!(shop.status(id).await, "completed");
    let said = shop.said(id).await;
    assert_eq!(said[2..], ["order.cancel_requested.v1", "order.cancel_refused.v1", "order.completed.v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_cancel_races_confirm_and_leaves_one_winner_and_no_gap() {
    let shop = Shop::new().await;
    for _ in 0..10 {
        let id = shop.place().await;
        shop.hear(reserved(id)).await;
        let authorized = shop.record(authorized(id));
        let (cancelled, heard) = tokio::join!(commands::cancel_order(&shop.db.pool, id), shop.hear_record(&authorized));
        cancelled.unwrap();
        assert_eq!(heard, Outcome::Applied);
        assert_eq!(shop.status(id).await, "cancelling customer");
        let said = shop.said(id).await;
        let confirmed_first = ["order.placed.v1", "order.confirmed.v1", "order.cancel_requested.v1"];
        assert!(said == confirmed_first || said == ["order.placed.v1", "order.cancel_requested.v1"], "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn race_stale_fact_of_the_same_topic_changes_nothing() {
    let (shop, id) = Shop::with_an_order().await;
    let reserved = shop.record(reserved(id));
    shop.hear(released(id)).await;
    assert_eq!(shop.hear_record(&reserved).await, Outcome::Ignored(Why::Stale));
    assert_eq!(shop.db.count("orders where facts ->> 'stock' = 'released'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_of_an_order_that_is_not_there_changes_nothing() {
    let shop = Shop::new().await;
    assert!(matches!(shop.hear(reserved(OrderId::new())).await, Outcome::Ignored(Why::Refused(_))));
    assert_eq!(shop.db.count("outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_sequence_of_a_product_wins() {
    let shop = Shop::new().await;
    let older = shop.record(product("TEA", 100, ProductStatus::Active));
    let newer = shop.record(product("TEA", 200, ProductStatus::Active));
    assert_eq!(shop.hear_record(&newer).await, Outcome::Applied);
    assert_eq!(shop.hear_record(&older).await, Outcome::Ignored(Why::Stale));
    assert_eq!(shop.hear_record(&newer).await, Outcome::Ignored(Why::Stale));
    let id = shop.place_draft(draft(&[("TEA", 1)])).await.unwrap().location.parse().unwrap();
    assert_eq!(shop.order(id).await.placed.total, eur(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn race_order_hears_nothing_and_its_deadline_ends_it_while_it_is_pending() {
    let shop = Shop::new().await;
    let (pending, confirmed) = (shop.place().await, shop.place().await);
    shop.hear(authorized(confirmed)).await;
    let conn = &mut shop.db.conn().await;
    for id in [pending, confirmed] {
        let deadlines = Deadlines::new(Nudge::default());
        timers::fire_by_hand(conn, &deadlines, DEADLINE_TIMER, &[&id.to_string()]).await.unwrap();
    }
    assert_eq!(shop.status(pending).await, "cancelling timeout");
    assert_eq!(shop.status(confirmed).await, "confirmed");
    assert_eq!(shop.said(pending).await, ["order.placed.v1", "order.cancel_requested.v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_its_deadline_go_by_the_clock_of_the_database() {
    let (shop, id) = Shop::with_an_order().await;
    let by_its_clock = format!(
        "select count(*) from orders o join outbox e on e.key = o.id::text join timers t on t.key = e.key \
         where o.id = '{id}' and o.placed_at = e.created_at and t.due_at = e.created_at + interval '20 minutes'"
    );
    assert_eq!(shop.count(&by_its_clock).await, 1, "the outbox notes the transaction's time");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_pending_order_has_a_deadline_timer() {
    let shop = Shop::new().await;
    let (pending, confirmed, cancelled) = (shop.place().await, shop.place().await, shop.place().await);
    shop.hear(authorized(confirmed)).await;
    commands::cancel_order(&shop.db.pool, cancelled).await.unwrap();
    assert_eq!(shop.db.count("timers").await, 1);
    let mine = format!("select count(*) from timers where kind = 'order_deadline' and key = '{pending}'");
    assert_eq!(shop.count(&mine).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_can_not_be_read_parks_its_order_and_no_other() {
    let shop = Shop::new().await;
    let (one, other) = (shop.place().await, shop.place().await);
    let mut poison = shop.record(reserved(one));
    poison.value = Some(b"{}".to_vec());
    assert!(matches!(shop.hear_record(&poison).await, Outcome::DeadLettered(_)));
    assert_eq!(shop.hear(committed(one)).await, Outcome::QueuedBehind);
    assert_eq!(shop.hear(reserved(other)).await, Outcome::Applied);
    let copies = format!("select count(*) from outbox where topic = 'order-svc.dlq' and key = '{one}'");
    assert_eq!(shop.count(&copies).await, 1);
    assert_eq!(shop.order(one).await.version, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_is_said_to_be_because_of_the_event_that_was_heard() {
    let (shop, id) = Shop::with_an_order().await;
    let authorized = shop.record(authorized(id));
    shop.hear_record(&authorized).await;
    let cause = authorized.header("ce_id").unwrap();
    let because = format!(
        "select count(*) from outbox cross join json_array_elements(headers) h \
         where h.value ->> 0 = 'ce_causationid' and h.value ->> 1 = '{cause}'"
    );
    assert_eq!(shop.count(&because).await, 1);
}
