//! Many at once for the last units: `available` is never below 0, and nobody waits for each other for ever.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::sync::Arc;

use common::*;
use service_kit::consumer::Outcome;
use shared_events::OrderId;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Samples the lowest `available` there is until it is told to stop; says how often and what it was.
async fn lowest_available(warehouse: Arc<Warehouse>, sku: &str, stop: CancellationToken) -> (usize, i64) {
    let (mut samples, mut lowest) = (0, i64::MAX);
    while !stop.is_cancelled() {
        let (on_hand, held) = warehouse.level(sku).await;
        lowest = lowest.min(on_hand - held);
        samples += 1;
    }
    (samples, lowest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_stock_is_short_twenty_orders_at_once_for_the_last_ten_units_hold_exactly_ten() {
    let warehouse = Arc::new(Warehouse::with(&[("TEA", 10)]).await);
    let stop = CancellationToken::new();
    let sampler = {
        let (warehouse, stop) = (Arc::clone(&warehouse), stop.clone());
        tokio::spawn(async move { lowest_available(warehouse, "TEA", stop).await })
    };
    let mut orders = JoinSet::new();
    for _ in 0..20 {
        let warehouse = Arc::clone(&warehouse);
        orders.spawn(async move {
            let order = OrderId::new();
            assert_eq!(warehouse.hears(placed(order, &[("TEA", 1)])).await, Outcome::Applied);
        });
    }
    orders.join_all().await;
    stop.cancel();
    let (samples, lowest) = sampler.await.unwrap();
    assert!(samples > 0 && lowest >= 0, "{samples} samples, lowest {lowest}");
    assert_eq!(warehouse.level("TEA").await, (10, 10));
    assert_eq!(warehouse.count("orders where reservation = 'held'").await, 10);
    assert_eq!(warehouse.count("orders where reservation = 'rejected_shortages'").await, 10);
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn orders_that_name_the_same_skus_in_other_orders_do_not_lock_each_other_out() {
    let warehouse = Arc::new(Warehouse::with(&[("A", 100), ("B", 100), ("C", 100)]).await);
    let mut orders = JoinSet::new();
    for n in 0..30 {
        let warehouse = Arc::clone(&warehouse);
        let lines = [[("A", 1), ("B", 1), ("C", 1)], [("C", 1), ("A", 1), ("B", 1)], [("B", 1), ("C", 1), ("A", 1)]];
        orders.spawn(async move {
            let order = OrderId::new();
            assert_eq!(warehouse.hears(placed(order, &lines[n % 3])).await, Outcome::Applied);
            tokio::join!(warehouse.hears(confirmed(order)), warehouse.expires(order));
        });
    }
    orders.join_all().await;
    assert_eq!(warehouse.level("A").await, (70, 0));
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_adjusted_below_held_adjustments_and_holds_at_once_never_take_the_same_unit() {
    let warehouse = Arc::new(Warehouse::with(&[("TEA", 10)]).await);
    let mut work = JoinSet::new();
    for _ in 0..10 {
        let held = Arc::clone(&warehouse);
        work.spawn(async move { held.hears(placed(OrderId::new(), &[("TEA", 1)])).await == Outcome::Applied });
        let taken = Arc::clone(&warehouse);
        work.spawn(async move { taken.adjusts("TEA", -1, "broken").await.is_ok() });
    }
    work.join_all().await;
    let (on_hand, held) = warehouse.level("TEA").await;
    assert_eq!(on_hand, held, "every unit was held or taken away");
    warehouse.books_balance().await;
}
