//! Movements in a partition a year, on a real PostgreSQL: what was there before goes on being there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use diesel::{QueryableByName, sql_query, sql_types};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use service_kit::testing::TestDb;
use stock_svc::store::movements;

const UP: &str = include_str!("../migrations/2026-11-29-040502_movements_by_year/up.sql");
const DOWN: &str = include_str!("../migrations/2026-11-29-040502_movements_by_year/down.sql");

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = sql_types::BigInt)]
    number: i64,
}

async fn number(db: &TestDb, sql: &str) -> i64 {
    let query = sql_query(format!("select ({sql})::bigint as number"));
    query.get_result::<Number>(&mut *db.conn().await).await.unwrap().number
}

async fn run(db: &TestDb, sql: &str) {
    db.conn().await.batch_execute(sql).await.unwrap();
}

/// A database as it was before there were partitions, with three thousand movements of one SKU over three years.
async fn before() -> TestDb {
    let db = TestDb::new(&stock_svc::migrations()).await;
    run(&db, DOWN).await;
    run(
        &db,
        "insert into movements (sku, kind, quantity, reason, at)
            select 'TEA', 'adjusted', n, 'count', now() - n * interval '8 hours' from generate_series(1, 3000) n",
    )
    .await;
    db
}

#[tokio::test(flavor = "multi_thread")]
async fn movements_of_the_schema_before_are_all_there_in_their_order_and_new_ones_follow_them() {
    let db = before().await;
    let sums = "select sum(quantity * id) + count(*) from movements";
    let had = number(&db, sums).await;
    run(&db, &format!("begin; {UP}; commit")).await;
    assert_eq!(number(&db, sums).await, had);

    let sku = "TEA".parse().unwrap();
    let adjusted = movements::NewMovement::by_hand(&sku, "adjusted", 5, Some("count"));
    movements::enter(&*db.conn().await, &[adjusted]).await.unwrap();
    let last = movements::list(&mut *db.conn().await, &sku, None, 3).await.unwrap();
    assert_eq!(last.iter().map(|moved| moved.id).collect::<Vec<_>>(), [3_001, 3_000, 2_999], "the newest first");
    run(&db, DOWN).await;
    assert_eq!(number(&db, "select count(*) from movements").await, 3_001, "and back");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_year_to_come_has_a_partition_of_its_own_before_it_begins() {
    let db = before().await;
    run(&db, &format!("begin; {UP}; commit")).await;
    run(
        &db,
        "insert into movements (sku, kind, quantity, reason, at) values
            ('TEA', 'adjusted', 1, 'count', now() + interval '1 year'), ('TEA', 'adjusted', 1, 'count', now() + interval '2 years')",
    )
    .await;
    assert_eq!(number(&db, "select count(distinct tableoid) from movements").await, 3);
    let partitions = "select count(*) from pg_inherits where inhparent = 'movements'::regclass";
    let all = number(&db, partitions).await;
    run(&db, "select movements_upkeep()").await;
    assert_eq!(number(&db, partitions).await, all, "it has nothing to do");
    // as if the last had not been made yet
    run(&db, "do $$ begin execute 'drop table movements_' || extract(year from now() at time zone 'UTC') + 2; end $$")
        .await;
    run(&db, "select movements_upkeep()").await;
    assert_eq!(number(&db, partitions).await, all);
}
