//! Movements in a partition a year, on a real PostgreSQL: what was there before goes on being there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use service_kit::testing::TestDb;
use stock_svc::store::movements;

const UP: &str = include_str!("../migrations/2026-11-29-040502_movements_by_year/up.sql");
const DOWN: &str = include_str!("../migrations/2026-11-29-040502_movements_by_year/down.sql");

/// A database as it was before there were partitions, with three thousand movements of one SKU over three years.
async fn before() -> TestDb {
    let db = TestDb::new(&stock_svc::migrations()).await;
    db.run(DOWN).await;
    db.run(
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
    let had = db.row::<i64>(sums).await;
    db.run(&format!("begin; {UP}; commit")).await;
    assert_eq!(db.row::<i64>(sums).await, had);

    let sku = "TEA".parse().unwrap();
    let adjusted = movements::NewMovement::by_hand(&sku, "adjusted", 5, Some("count"));
    movements::enter(&*db.conn().await, &[adjusted]).await.unwrap();
    let last = movements::list(&mut *db.conn().await, &sku, None, 3).await.unwrap();
    assert_eq!(last.iter().map(|moved| moved.id).collect::<Vec<_>>(), [3_001, 3_000, 2_999], "the newest first");
    db.run(DOWN).await;
    assert_eq!(db.row::<i64>("select count(*) from movements").await, 3_001, "and back");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_year_to_come_has_a_partition_of_its_own_before_it_begins() {
    let db = before().await;
    db.run(&format!("begin; {UP}; commit")).await;
    db.run(
        "insert into movements (sku, kind, quantity, reason, at) values
            ('TEA', 'adjusted', 1, 'count', now() + interval '1 year'), ('TEA', 'adjusted', 1, 'count', now() + interval '2 years')",
    )
    .await;
    assert_eq!(db.row::<i64>("select count(distinct tableoid) from movements").await, 3);
    let partitions = "select count(*) from pg_inherits where inhparent = 'movements'::regclass";
    let all = db.row::<i64>(partitions).await;
    db.run("select movements_upkeep()").await;
    assert_eq!(db.row::<i64>(partitions).await, all, "it has nothing to do");
    // as if the last had not been made yet
    db.run("do $$ begin execute 'drop table movements_' || extract(year from now() at time zone 'UTC') + 2; end $$")
        .await;
    db.run("select movements_upkeep()").await;
    assert_eq!(db.row::<i64>(partitions).await, all);
}
