//! When few pieces of a product are left, that is announced: once each time they fall below its mark.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod common;

use common::*;
use shared_events::*;
use stock_svc::commands::{self, NewDetails};
use stock_svc::domain::{LowStockMark, OnHand};

fn watched(mark: i64) -> NewDetails {
    NewDetails { low_stock_mark: Some(LowStockMark::try_from(mark).unwrap()), ..tea() }
}

fn sku() -> Sku {
    "TEA".parse().unwrap()
}

/// Ten teas, of which fewer than five are few.
async fn warehouse() -> Warehouse {
    let warehouse = Warehouse::empty().await;
    let on_hand = OnHand::try_from(10).unwrap();
    commands::add_product(&warehouse.db.pool, sku(), watched(5), on_hand).await.unwrap();
    warehouse
}

async fn adjust(warehouse: &Warehouse, delta: i64) {
    warehouse.adjusts(sku().as_str(), delta, "counted").await.unwrap();
}

/// How few there were, each time that was said.
async fn said_low(warehouse: &Warehouse) -> Vec<i64> {
    let said = warehouse.said().await.into_iter().filter_map(|event| match event {
        Event::Product(ProductEvent::StockLow(low)) => {
            assert_eq!((low.state.sku, low.state.price, low.state.status), (sku(), eur(12_99), ProductStatus::Active));
            Some(low.available)
        }
        _ => None,
    });
    said.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_that_leave_few_say_so_once_until_there_were_enough_again() {
    let warehouse = warehouse().await;
    let [first, second, third, fourth] = std::array::from_fn(|_| OrderId::new());
    warehouse.hears(placed(first, &[("TEA", 5)])).await;
    assert_eq!(said_low(&warehouse).await, [0; 0], "five are enough");
    warehouse.hears(placed(second, &[("TEA", 1)])).await;
    warehouse.hears(placed(third, &[("TEA", 1)])).await;
    warehouse.hears(confirmed(second)).await;
    assert_eq!(said_low(&warehouse).await, [4], "said once, and a commit leaves as many available as there were");
    warehouse.hears(cancel_requested(first)).await;
    warehouse.hears(placed(fourth, &[("TEA", 6)])).await;
    assert_eq!(said_low(&warehouse).await, [4, 2]);
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_again_after_expiry_and_an_adjustment_say_it_too() {
    let warehouse = warehouse().await;
    let order = OrderId::new();
    warehouse.hears(placed(order, &[("TEA", 6)])).await;
    warehouse.expires(order).await;
    warehouse.hears(confirmed(order)).await;
    assert_eq!(said_low(&warehouse).await, [4, 4]);
    adjust(&warehouse, -1).await;
    adjust(&warehouse, 10).await;
    adjust(&warehouse, -11).await;
    assert_eq!(said_low(&warehouse).await, [4, 4, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_is_listed_with_few_and_a_mark_that_is_raised_say_it() {
    let warehouse = warehouse().await;
    let pool = &warehouse.db.pool;
    for mark in [11, 12] {
        commands::change_product(pool, &sku(), &commands::Expected::Any, watched(mark)).await.unwrap();
    }
    assert_eq!(said_low(&warehouse).await, [10], "a mark that is raised further finds nothing new");
    commands::change_product(pool, &sku(), &commands::Expected::Any, tea()).await.unwrap();
    adjust(&warehouse, -10).await;
    assert_eq!(said_low(&warehouse).await, [10], "a product without a mark is not watched");
    let few = OnHand::try_from(1).unwrap();
    let listed = commands::add_product(pool, "CUP".parse().unwrap(), watched(2), few).await.unwrap();
    assert_eq!(listed.product.details.low_stock_mark.map(LowStockMark::pieces), Some(2));
    let types: Vec<_> = warehouse.said().await.iter().map(Event::type_name).collect();
    assert_eq!(types[types.len() - 2..], ["product.listed.v1", "product.stock_low.v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_changes_and_announcements_at_once_get_in_nobodys_way_and_leave_no_gap() {
    let warehouse = warehouse().await;
    adjust(&warehouse, 1_000).await;
    let pool = &warehouse.db.pool;
    let orders = async {
        for _ in 0..30 {
            let order = OrderId::new();
            warehouse.hears(placed(order, &[("TEA", 1_006)])).await;
            warehouse.hears(cancel_requested(order)).await;
        }
    };
    let changes = async {
        for mark in (5..=10).cycle().take(30) {
            commands::change_product(pool, &sku(), &commands::Expected::Any, watched(mark)).await.unwrap();
        }
    };
    let announcements = async {
        for _ in 0..30 {
            commands::reannounce(pool, None).await.unwrap();
        }
    };
    futures_util::join!(orders, changes, announcements);
    assert_eq!(said_low(&warehouse).await.len(), 30, "each order left 4");
    let gaps = "(select (h ->> 1)::bigint as sequence, row_number() over (order by o.id) as place
        from outbox o, json_array_elements(headers) h where h ->> 0 = 'ce_sequence' and topic = 'products.v1') numbered
        where sequence <> place";
    assert_eq!(warehouse.count(gaps).await, 0);
}
