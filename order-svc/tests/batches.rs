//! Many facts in one transaction: each finds what those before it led to, and all together cost what one costs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use order_svc::commands::DEADLINE_TIMER;
use order_svc::deadline::Deadlines;
use outbox_relay::Nudge;
use service_kit::consumer::Outcome;
use service_kit::consumer::testing::react_to_all;
use service_kit::testing::Statements;
use service_kit::timers;
use shared_events::OrderId;

async fn placed(shop: &Shop, count: usize) -> Vec<OrderId> {
    let mut orders = Vec::new();
    for _ in 0..count {
        orders.push(shop.place().await);
    }
    orders
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_any_size_takes_as_many_statements_as_one_fact() {
    let shop = Shop::new().await;
    let conn = &mut *shop.db.conn().await;
    let statements = Statements::of(conn);
    let mut taken = Vec::new();
    for count in [1, 64] {
        let orders = placed(&shop, count).await;
        let mut counts = Vec::new();
        for fact in [reserved, authorized, captured] as [Fact; 3] {
            let heard: Vec<_> = orders.iter().map(|order| shop.record(fact(*order))).collect();
            statements.take();
            let outcomes = react_to_all(conn, &shop.reactions, &heard).await.unwrap();
            assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Applied), "{outcomes:?}");
            counts.push(statements.take().len());
        }
        taken.push(counts);
        for order in orders {
            assert_eq!(shop.status(order).await, "confirmed");
        }
    }
    assert_eq!(taken[0], taken[1], "one fact, and sixty-four");
    assert!(taken[1].iter().all(|count| *count <= 12), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_fact_of_a_batch_leads_to_the_next_one_finds() {
    let (shop, id) = Shop::with_an_order().await;
    let facts = [parcel_created(id), dispatched(id), dispatched(id)].map(|fact| shop.record(fact));
    shop.hear_all(id, &[reserved, authorized]).await;
    let outcomes = react_to_all(&mut *shop.db.conn().await, &shop.reactions, &facts).await.unwrap();
    assert_eq!(outcomes[..2], [Outcome::Applied, Outcome::Applied]);
    assert_eq!(shop.status(id).await, "shipped");
    let history = "select count(*) from order_history where position <= 6 and (position = 6) = (status = 'shipped')";
    assert_eq!(shop.count(history).await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_deadlines_that_have_passed_take_as_many_statements_as_one() {
    let shop = Shop::new().await;
    let conn = &mut *shop.db.conn().await;
    let (statements, deadlines) = (Statements::of(conn), Deadlines::new(Nudge::default()));
    let mut taken = Vec::new();
    for count in [1, 50] {
        let orders = placed(&shop, count).await;
        let keys: Vec<_> = orders.iter().map(ToString::to_string).collect();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        statements.take();
        timers::fire_by_hand(conn, &deadlines, DEADLINE_TIMER, &keys).await.unwrap();
        taken.push(statements.take().len());
        for order in orders {
            assert_eq!(shop.status(order).await, "cancelling timeout");
            assert_eq!(shop.said(order).await, ["order.placed.v1", "order.cancel_requested.v1"]);
        }
    }
    assert_eq!(taken[0], taken[1], "one deadline, and fifty");
}
