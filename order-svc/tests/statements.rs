//! Statements that run for every order or every fact stay prepared on their connection.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use diesel::sql_types::Text;
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use order_svc::store::stored_responses::{self, StoredResponse};
use order_svc::store::{self, AnnounceError, BatchKeys, orders, products};
use service_kit::idempotency::IdempotentRequest;
use service_kit::timers;
use shared_events::OrderId;

#[derive(QueryableByName)]
struct Prepared {
    #[diesel(sql_type = Text)]
    statement: String,
}

/// What the transactions of placing an order and of hearing a fact do, on one connection.
async fn place_and_hear(conn: &mut AsyncPgConnection) -> Result<(), AnnounceError> {
    let now = store::now(conn).await?;
    let idempotency = IdempotentRequest { key: "k-1".to_owned(), request: vec![1] };
    stored_responses::claim(conn, &idempotency).await?;
    let products = products::find(conn, &["TEA"]).await?;
    let order = draft(&[("TEA", 1)]).place(OrderId::new(), &products, now, now).unwrap();
    let id = order.placed.order_id;
    orders::insert(conn, &order).await?;
    timers::set(conn, "order_deadline", &id.to_string(), now).await?;
    stored_responses::keep(conn, &idempotency, id, &StoredResponse { location: String::new(), body: vec![] }, now)
        .await?;

    let mut loaded = store::load(conn, BatchKeys { orders: vec![id], ..BatchKeys::default() }).await?;
    let cancelled = loaded.order(id).unwrap().progress.clone().cancel().unwrap();
    loaded.apply(cancelled.into(), None)?;
    store::save(conn, loaded).await
}

#[tokio::test(flavor = "multi_thread")]
async fn placing_and_hearing_parse_no_statement_twice() {
    let shop = Shop::new().await;
    let conn = &mut shop.db.conn().await;
    conn.transaction(async |conn| place_and_hear(conn).await).await.unwrap();
    let all = "select lower(replace(statement, '\"', '')) as statement from pg_prepared_statements";
    let prepared: Vec<Prepared> = sql_query(all).load(conn).await.unwrap();
    for start in [
        "select pg_try_advisory_xact_lock",
        "select idempotency_keys.",
        "select products.",
        "select current_timestamp",
        "insert into orders",
        "insert into outbox",
        "insert into timers",
        "insert into idempotency_keys",
        "select orders.id, orders.pieces",
        "update orders set facts",
        "insert into order_history",
        "delete from timers",
    ] {
        assert!(prepared.iter().any(|known| known.statement.starts_with(start)), "{start}");
    }
}
