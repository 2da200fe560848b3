//! The levels are computed again from movements and holds, and what differs is named.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::process::Command;

use common::*;
use quadrille_testing::lines;
use shared_events::*;
use stock_svc::commands::Step;

/// Whether it found all right, and what it said.
fn recompute(warehouse: &Warehouse, repair: bool) -> (bool, String) {
    run(warehouse, repair.then_some("--repair").as_slice())
}

fn go_on(warehouse: &Warehouse, place: &str) -> (bool, String) {
    run(warehouse, &["--from", place])
}

fn run(warehouse: &Warehouse, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stock-svc"));
    command.arg("recompute").args(arguments).env_clear().env("DATABASE_URL", &warehouse.db.url);
    let output = tokio::task::block_in_place(|| command.output()).unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// Moved in every way that there is: listed, adjusted, held, released, expired, committed, held again, restocked by a cancel
/// and by a return, split, lost, called off.
async fn a_busy_warehouse() -> (Warehouse, OrderId) {
    let warehouse = Warehouse::with(&[("TEA", 20), ("MUG", 5)]).await;
    warehouse.adjusts("MUG", -2, "broken").await.unwrap();
    let [held, released, expired, again] = std::array::from_fn(|_| OrderId::new());
    for order in [held, released, expired, again] {
        warehouse.hears(placed(order, &[("TEA", 2)])).await;
    }
    warehouse.hears(cancel_requested(released)).await;
    warehouse.expires(expired).await;
    warehouse.expires(again).await;
    warehouse.hears(confirmed(again)).await;
    let undone = warehouse.paid(&[("TEA", 1), ("MUG", 1)]).await;
    warehouse.hears(cancel_requested(undone)).await;
    let sent = warehouse.paid(&[("TEA", 4), ("MUG", 1)]).await;
    let whole = warehouse.shipment_of(sent).await;
    let line = |quantity| lines(&[("TEA", quantity)]);
    let parts = warehouse.moves(whole, Step::Split { lines: line(3) }).await.unwrap();
    for (_, part) in &parts[1..] {
        warehouse.moves(part.id, dispatched()).await.unwrap();
    }
    warehouse.moves(parts[1].1.id, Step::Deliver).await.unwrap();
    for _ in 0..2 {
        warehouse.moves(parts[1].1.id, Step::TakeBack { lines: line(1) }).await.unwrap();
    }
    warehouse.moves(parts[2].1.id, Step::Lose).await.unwrap();
    let in_part = warehouse.paid(&[("TEA", 3)]).await;
    let whole = warehouse.shipment_of(in_part).await;
    let parts = warehouse.moves(whole, Step::Split { lines: line(1) }).await.unwrap();
    warehouse.moves(parts[1].1.id, dispatched()).await.unwrap();
    warehouse.moves(parts[2].1.id, Step::CallOff).await.unwrap();
    warehouse.adjusts("TEA", 1, "found").await.unwrap();
    (warehouse, sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_moved_the_levels_are_the_sums_of_movements_and_holds() {
    let (warehouse, _) = a_busy_warehouse().await;
    assert_eq!((warehouse.level("TEA").await, warehouse.level("MUG").await), ((16, 2), (2, 0)));
    assert_eq!(recompute(&warehouse, false), (true, "2 products: levels, movements and holds agree\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_was_changed_by_hand_is_named_with_its_figures_and_set_right() {
    let (warehouse, _) = a_busy_warehouse().await;
    warehouse.db.run("update stock_levels set on_hand = 17, held = 3 where sku = 'TEA'").await;
    let (well, said) = recompute(&warehouse, false);
    assert!(!well && said.contains("TEA: the level says 17 on hand, its movements 16\n"), "{said}");
    assert!(said.contains("TEA: the level says 3 held, the live holds 2\n"), "{said}");
    assert_eq!(warehouse.level("TEA").await, (17, 3));
    let (well, said) = recompute(&warehouse, true);
    assert!(well && said.contains("TEA: the level is set to what movements and holds say\n"), "{said}");
    assert_eq!(warehouse.level("TEA").await, (16, 2));
    warehouse.books_balance().await;
}

/// More orders and SKUs than one range holds, and more movements of one SKU than one statement adds up.
#[tokio::test(flavor = "multi_thread")]
async fn books_of_many_ranges_are_compared_whole_and_from_where_a_look_was_stopped() {
    let (warehouse, sent) = a_busy_warehouse().await;
    warehouse
        .db
        .run(
            "with new as (insert into products (sku, name, description, price_amount, price_currency)
             select 'SKU-' || lpad(n::text, 5, '0'), 'many', '', 1, 'EUR' from generate_series(1, 450) n returning sku),
         levels as (insert into stock_levels (sku, on_hand) select sku, 120000 from new)
         insert into movements (sku, kind, quantity) select sku, 'listed', 120000 from new",
        )
        .await;
    warehouse.db.run("insert into movements (sku, kind, quantity, reason) select 'SKU-00300', 'adjusted', 1, 'count' from generate_series(1, 110000)").await;
    warehouse.db.run("insert into orders (order_id, reservation, lines, expires_at) select gen_random_uuid(), 'expired', '[]', null from generate_series(1, 4500)").await;
    let (well, said) = recompute(&warehouse, true);
    assert!(well && said.contains("SKU-00300: the level says 120000 on hand, its movements 230000\n"), "{said}");
    assert!(said.contains("452 products: levels, movements and holds agree\n"), "{said}");

    warehouse.db.run("update stock_levels set on_hand = on_hand + 1 where sku in ('SKU-00010', 'SKU-00440')").await;
    warehouse
        .db
        .run(&format!("update movements set quantity = -3 where kind = 'committed' and order_id = '{sent}'"))
        .await;
    let (well, said) = go_on(&warehouse, "levels:SKU-00011");
    assert!(
        !well && said.contains("SKU-00440: ") && !said.contains("SKU-00010: ") && !said.contains("order "),
        "{said}"
    );
    let (well, said) = go_on(&warehouse, "levels");
    assert!(!well && said.contains("--from levels: expected orders:ID"), "{said}");
    let (_, said) = go_on(&warehouse, "orders:ffffffff-0000-7000-8000-000000000000");
    assert!(!said.contains("order ") && said.contains("SKU-00010: "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_movement_that_was_altered_is_named_with_its_order_and_not_made_true() {
    let (warehouse, sent) = a_busy_warehouse().await;
    let alter =
        format!("update movements set quantity = -3 where sku = 'TEA' and kind = 'committed' and order_id = '{sent}'");
    warehouse.db.run(&alter).await;
    for repair in [false, true] {
        let (well, said) = recompute(&warehouse, repair);
        assert!(!well && said.contains("TEA: the level says 16 on hand, its movements 17\n"), "{said}");
        let named = format!("TEA: order {sent} has movements of -3 committed, its lines say -4\n");
        assert!(said.contains(&named), "{said}");
    }
    assert_eq!(warehouse.level("TEA").await, (16, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_would_be_oversold_is_left_to_a_person() {
    let (warehouse, _) = a_busy_warehouse().await;
    warehouse.db.run("delete from movements where sku = 'TEA' and kind = 'listed'").await;
    let (well, said) = recompute(&warehouse, true);
    assert!(!well && said.contains("TEA: the level says 16 on hand, its movements -4\n"), "{said}");
    assert_eq!(warehouse.level("TEA").await, (16, 2));
}
