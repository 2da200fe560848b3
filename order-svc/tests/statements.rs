//! Statements that run for every order or every fact stay prepared on their connection.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use std::time::Duration;

use order_svc::commands::{self, PlaceOrder, PlaceOrderError};
use order_svc::domain::{Order, OrderDraft};
use order_svc::reactions::OrderReactions;
use order_svc::store::orders::{self, Filter};
use order_svc::store::{customers, history, stored_responses::StoredResponse};
use outbox_relay::Nudge;
use service_kit::Pool;
use service_kit::consumer::Outcome;
use service_kit::consumer::testing::react_to_all;
use service_kit::idempotency::IdempotentRequest;
use service_kit::pool::Traffic;
use service_kit::testing::{on_one_thread, one_connection, rows};
use shared_events::OrderId;

async fn try_to_place(pool: &Pool, key: Option<&str>, sku: &str) -> Result<OrderId, PlaceOrderError> {
    place_as(pool, key, draft(&[(sku, 1)])).await
}

async fn place_as(pool: &Pool, key: Option<&str>, draft: OrderDraft) -> Result<OrderId, PlaceOrderError> {
    let idempotency = key.map(|key| IdempotentRequest { key: key.to_owned(), request: vec![1] });
    let command = PlaceOrder { draft, idempotency, deadline: Duration::from_secs(60), prices_known: true };
    let answer = |order: &Order| Ok(StoredResponse { location: order.placed.order_id.to_string(), body: vec![] });
    Ok(commands::place_order(pool, command, answer).await?.location.parse().unwrap())
}

async fn place(pool: &Pool, key: Option<&str>) -> OrderId {
    try_to_place(pool, key, "TEA").await.unwrap()
}

/// What the one connection of this pool is asked meanwhile.
async fn traffic<T>(pool: &Pool, work: impl Future<Output = T>) -> (Traffic, T) {
    let before = pool.get().await.unwrap().traffic();
    let done = work.await;
    let after = pool.get().await.unwrap().traffic();
    let (statements, round_trips) = (after.statements - before.statements, after.round_trips - before.round_trips);
    (Traffic { statements, round_trips }, done)
}

#[tokio::test(flavor = "multi_thread")]
async fn placing_takes_two_round_trips_and_changing_an_order_three() {
    let shop = Shop::new().await;
    on_one_thread(shop.db.url.clone(), async |pool: &Pool| {
        // what is prepared once a connection
        place(pool, Some("first")).await;
        commands::cancel_order(pool, place(pool, None).await).await.unwrap();

        let (with_key, order) = traffic(pool, place(pool, Some("k-1"))).await;
        assert_eq!(with_key, Traffic { statements: 6, round_trips: 2 });
        let (without, _) = traffic(pool, place(pool, None)).await;
        assert_eq!(without, Traffic { statements: 4, round_trips: 2 });
        let (again, same) = traffic(pool, place(pool, Some("k-1"))).await;
        assert_eq!((again.round_trips, same), (2, order));
        let (cancelled, _) = traffic(pool, commands::cancel_order(pool, order)).await;
        assert_eq!(cancelled.round_trips, 3, "{cancelled:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_takes_its_address_from_a_profile_costs_a_statement_and_no_round_trip_more() {
    let shop = Shop::new().await;
    fn without_address() -> OrderDraft {
        OrderDraft { delivery_address: None, ..draft(&[("TEA", 1)]) }
    }
    let id = without_address().customer.id;
    commands::change_profile(&shop.db.pool, &id, None, profile()).await.unwrap();
    on_one_thread(shop.db.url.clone(), async |pool: &Pool| {
        let mut taken = Vec::new();
        // the first prepares the statements
        for key in ["first", "second"] {
            let place = async |key, draft| place_as(pool, key, draft).await.unwrap();
            let (whole, _) = traffic(pool, place(None, draft(&[("TEA", 1)]))).await;
            let (without, order) = traffic(pool, place(None, without_address())).await;
            let (with_key, _) = traffic(pool, place(Some(key), without_address())).await;
            let placed = orders::find(&pool.get().await.unwrap(), order).await.unwrap().unwrap().placed;
            assert_eq!(Some(placed.delivery_address), profile().delivery_address);
            taken = vec![whole, without, with_key];
        }
        let expected = [4, 5, 7].map(|statements| Traffic { statements, round_trips: 2 });
        assert_eq!(taken, expected, "all said; without an address; and with a key");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_look_up_is_one_statement_in_one_round_trip() {
    let shop = Shop::new().await;
    let (order, pool) = (shop.place().await, &one_connection(&shop.db.url).await);
    let customer = draft(&[]).customer.id;
    let of_customer = || Filter {
        customer_id: Some("c-1".parse().unwrap()),
        status: Some("pending".to_owned()),
        overdue: None,
        before: None,
    };
    for first in [true, false] {
        let conn = async || pool.get().await.unwrap();
        let taken = [
            traffic(pool, async { orders::find(&*conn().await, order).await.unwrap().map(drop).unwrap() }).await.0,
            traffic(pool, async { orders::list(&mut *conn().await, &Filter::default(), 51).await.map(drop).unwrap() })
                .await
                .0,
            traffic(pool, async { orders::list(&mut *conn().await, &of_customer(), 51).await.map(drop).unwrap() })
                .await
                .0,
            traffic(pool, async { history::after(&mut *conn().await, order, 0, 51).await.map(drop).unwrap() }).await.0,
            traffic(pool, async { customers::find(&*conn().await, &customer).await.map(drop).unwrap() }).await.0,
        ];
        // the first prepares them
        assert!(first || taken == [Traffic { statements: 1, round_trips: 1 }; 5], "{taken:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_takes_four_round_trips_by_itself_or_with_sixty_three_others() {
    let shop = Shop::new().await;
    let mut facts = Vec::new();
    for _ in 0..1 + 1 + 64 {
        facts.push(shop.record(reserved(shop.place().await)));
    }
    on_one_thread(shop.db.url.clone(), async move |pool: &Pool| {
        let reactions = OrderReactions::new(Nudge::default());
        let mut taken = Vec::new();
        // the first prepares the statements
        for batch in [&facts[..1], &facts[1..2], &facts[2..]] {
            let hear = async { react_to_all(&mut pool.get().await.unwrap(), &reactions, batch).await.unwrap() };
            let (traffic, outcomes) = traffic(pool, hear).await;
            assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Applied), "{outcomes:?}");
            taken.push(traffic.round_trips);
        }
        // two of them read how far the inbox reaches, which a lane knows
        assert_eq!(taken[1..], [2 + 4, 2 + 4], "begin and inbox, load, save, commit");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_written_is_told_and_leaves_nothing_though_its_commit_was_sent_with_it() {
    let shop = Shop::new().await;
    let pool = &one_connection(&shop.db.url).await;
    place(pool, Some("first")).await;
    let refuse = "alter table timers add constraint none check (kind <> 'order_deadline') not valid";
    shop.db.run(refuse).await;
    let failed = try_to_place(pool, Some("k-1"), "TEA").await.unwrap_err();
    assert!(failed.to_string().contains("violates check constraint \"none\""), "{failed}");
    for table in ["orders", "order_history", "outbox", "timers", "idempotency_keys"] {
        assert_eq!(shop.db.count(table).await, 1, "{table}");
    }
    // the connection is as good as before, and knows that it is in no transaction
    shop.db.run("alter table timers drop constraint none").await;
    let backend = pool.get().await.unwrap().backend();
    place(pool, Some("k-1")).await;
    assert_eq!(pool.get().await.unwrap().backend(), backend);
}

#[tokio::test(flavor = "multi_thread")]
async fn placing_and_hearing_parse_no_statement_twice() {
    let shop = Shop::new().await;
    let pool = &one_connection(&shop.db.url).await;
    let cancelled = commands::cancel_order(pool, place(pool, Some("k-1")).await).await.unwrap();
    assert_eq!(cancelled.progress.status.name(), "cancelling");
    place(pool, None).await;
    let conn = &mut *pool.get().await.unwrap();
    let all = "select lower(replace(statement, '\"', '')) as statement from pg_prepared_statements";
    let prepared: Vec<String> = rows(conn, all).await;
    for start in [
        "select pg_try_advisory_xact_lock",
        "select idempotency_keys.",
        "select products.",
        "with part_0 as (insert into orders",
        "select orders.id, orders.pieces",
        "update orders set facts",
        "insert into order_history",
        "insert into outbox",
        "delete from timers",
    ] {
        assert!(prepared.iter().any(|known| known.starts_with(start)), "{start}");
    }
}
