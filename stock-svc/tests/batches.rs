//! Many events in one transaction: each finds what those before it decided, and all together cost what one costs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod common;

use common::*;
use diesel::sql_query;
use diesel_async::RunQueryDsl;
use outbox_relay::Nudge;
use service_kit::consumer::testing::react_to_all;
use service_kit::consumer::{Outcome, Record};
use service_kit::testing::Statements;
use service_kit::timers;
use shared_events::{Event, OrderId};
use stock_svc::expiry::Expiry;
use stock_svc::store::roots::EXPIRY;

fn records(events: impl IntoIterator<Item = impl Into<Event>>) -> Vec<Record> {
    events.into_iter().map(record).collect()
}

fn ids(count: usize) -> Vec<OrderId> {
    (0..count).map(|_| OrderId::new()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_any_size_takes_as_many_statements_as_one_event() {
    let skus: Vec<_> = (0..50).map(|n| format!("SKU-{n}")).collect();
    let stock: Vec<_> = skus.iter().map(|sku| (sku.as_str(), 1_000)).collect();
    let warehouse = Warehouse::with(&stock).await;
    let conn = &mut *warehouse.db.conn().await;
    let statements = Statements::of(conn);
    let mut taken = Vec::new();
    for orders in [ids(1), ids(64)] {
        let lines = |n: usize| [(skus[n % 50].as_str(), 1), (skus[(n + 7) % 50].as_str(), 2)];
        let events: [Vec<Event>; 4] = [
            orders.iter().enumerate().map(|(n, order)| placed(*order, &lines(n)).into()).collect(),
            orders.iter().map(|order| confirmed(*order).into()).collect(),
            orders.iter().map(|order| captured(*order).into()).collect(),
            orders.iter().map(|order| cancel_requested(*order).into()).collect(),
        ];
        let mut counts = Vec::new();
        for events in events {
            let outcomes = react_to_all(conn, &warehouse.reactions, &records(events)).await.unwrap();
            assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Applied), "{outcomes:?}");
            counts.push(statements.take().len());
        }
        taken.push(counts);
    }
    assert_eq!(taken[0], taken[1], "one event, and sixty-four");
    assert!(taken[1].iter().all(|count| *count <= 16), "{taken:?}");
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_orders_of_one_sku_read_its_row_once_and_write_it_once() {
    let warehouse = Warehouse::with(&[("TEA", 100)]).await;
    let conn = &mut *warehouse.db.conn().await;
    for sql in [
        "create table written (sku text)",
        "create function note() returns trigger language plpgsql as \
             $$ begin insert into written values (new.sku); return new; end $$",
        "create trigger note after update on stock_levels for each row execute function note()",
    ] {
        sql_query(sql).execute(conn).await.unwrap();
    }
    let statements = Statements::of(conn);
    let orders = ids(64);
    let heard = records(orders.iter().map(|order| placed(*order, &[("TEA", 1)])));
    react_to_all(conn, &warehouse.reactions, &heard).await.unwrap();
    let asked = statements.take();
    let of_levels: Vec<_> = asked.iter().filter(|statement| statement.contains("stock_levels")).collect();
    assert_eq!(of_levels.len(), 2, "{of_levels:?}");
    assert_eq!(warehouse.count("written").await, 1);
    assert_eq!(warehouse.level("TEA").await, (100, 64));
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_event_of_a_batch_decides_the_next_one_finds() {
    let warehouse = Warehouse::with(&[("TEA", 10)]).await;
    let conn = &mut *warehouse.db.conn().await;
    let orders = ids(14);
    let (first, last) = (orders[0], orders[13]);
    let mut events: Vec<Event> = orders[..12].iter().map(|order| placed(*order, &[("TEA", 1)]).into()).collect();
    events.extend([
        confirmed(first).into(),
        captured(first).into(),
        cancel_requested(first).into(),
        placed(orders[12], &[("TEA", 1)]).into(),
        cancel_requested(last).into(),
        Event::from(placed(last, &[("TEA", 1)])),
    ]);
    let outcomes = react_to_all(conn, &warehouse.reactions, &records(events)).await.unwrap();
    assert!(matches!(outcomes.last(), Some(Outcome::Ignored(_))), "undone before it was heard of: {outcomes:?}");
    assert_eq!(warehouse.count("orders where reservation = 'held'").await, 10);
    assert_eq!(warehouse.count("orders where reservation = 'rejected_shortages'").await, 2);
    assert_eq!(warehouse.level("TEA").await, (10, 10), "what the first gave back was held for the thirteenth");
    let said = [
        "stock.reserved.v1",
        "stock.committed.v1",
        "shipment.created.v1",
        "shipment.cancelled.v1",
        "stock.restocked.v1",
    ];
    assert_eq!(warehouse.said_of(first).await, said);
    let numbers = "(select (h ->> 1)::bigint as sequence, row_number() over (partition by key, topic order by o.id) as place \
         from outbox o, json_array_elements(headers) h where h ->> 0 = 'ce_sequence') numbered";
    assert_eq!(warehouse.count(&format!("{numbers} where sequence <> place")).await, 0);
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_in_a_batch_parks_its_order_and_the_others_go_on() {
    let warehouse = Warehouse::with(&[("TEA", 10)]).await;
    let conn = &mut *warehouse.db.conn().await;
    let (broken, fine) = (OrderId::new(), OrderId::new());
    let mut heard = records([placed(broken, &[("TEA", 1)]), placed(fine, &[("TEA", 2)])]);
    let address = placed(broken, &[]).delivery_address;
    let changed = shared_events::OrderAddressChanged { order_id: broken, delivery_address: address };
    let mut unranked = record(changed);
    unranked.headers.retain(|(name, _)| name != "ce_sequence");
    heard.insert(1, unranked);
    heard.push(record(confirmed(broken)));
    let outcomes = react_to_all(conn, &warehouse.reactions, &heard).await.unwrap();
    assert!(
        matches!(&outcomes[1], Outcome::DeadLettered(why) if why.contains("can't be put in order")),
        "{outcomes:?}"
    );
    assert_eq!([&outcomes[0], &outcomes[2]], [&Outcome::Applied, &Outcome::Applied]);
    assert_eq!(outcomes[3], Outcome::QueuedBehind);
    assert_eq!(warehouse.level("TEA").await, (10, 3));
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_holds_that_are_due_end_with_as_many_statements_as_one() {
    let warehouse = Warehouse::with(&[("TEA", 1_000), ("MUG", 1_000)]).await;
    let conn = &mut *warehouse.db.conn().await;
    let expiry = Expiry { nudge: Nudge::default() };
    let statements = Statements::of(conn);
    let mut taken = Vec::new();
    for orders in [ids(1), ids(50)] {
        let heard = records(orders.iter().map(|order| placed(*order, &[("TEA", 1), ("MUG", 2)])));
        react_to_all(conn, &warehouse.reactions, &heard).await.unwrap();
        let keys: Vec<_> = orders.iter().map(ToString::to_string).collect();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        statements.take();
        timers::fire_by_hand(conn, &expiry, EXPIRY, &keys).await.unwrap();
        taken.push(statements.take().len());
        for order in orders {
            assert_eq!(warehouse.said_of(order).await, ["stock.reserved.v1", "stock.expired.v1"]);
        }
    }
    assert_eq!(taken[0], taken[1], "one hold, and fifty");
    assert_eq!((warehouse.level("TEA").await, warehouse.level("MUG").await), ((1_000, 0), (1_000, 0)));
    warehouse.books_balance().await;
}
