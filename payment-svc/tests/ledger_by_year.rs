//! The ledger in a partition a year, on a real PostgreSQL: what was there before goes on being there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use diesel_async::SimpleAsyncConnection;
use payment_svc::store::ledger;
use service_kit::testing::TestDb;
use shared_events::PaymentId;

const UP: &str = include_str!("../migrations/2026-11-29-120000_ledger_by_year/up.sql");
const DOWN: &str = include_str!("../migrations/2026-11-29-120000_ledger_by_year/down.sql");

/// The line of a payment that began at this SQL time, with the payment.
fn line(began: &str, number: &str) -> String {
    let id = format!(
        "rpad(lpad(to_hex((extract(epoch from {began}) * 1000)::bigint), 12, '0') || '7', 20, '0') || lpad(to_hex({number}), 12, '0')"
    );
    format!(
        "with made as (insert into payments (payment_id, order_id, state)
            select ({id})::uuid, gen_random_uuid(), 'captured' from generate_series(1, 1) returning payment_id)
         insert into ledger (payment_id, operation, amount, currency, key, debit, credit)
            select payment_id, 'capture', 5, 'EUR', payment_id || ':capture', 'customer', 'revenue' from made"
    )
}

/// A database as it was before there were partitions, with lines of two years.
async fn before() -> TestDb {
    let db = TestDb::new(&payment_svc::migrations()).await;
    db.run(DOWN).await;
    for n in (0..30).step_by(5) {
        db.run(&line(&format!("now() - interval '{n} months'"), &n.to_string())).await;
    }
    db
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_the_schema_before_are_all_there_in_their_order_and_new_ones_follow_them() {
    let db = before().await;
    let sums = "select sum(amount * id) + count(*) from ledger";
    let had = db.row::<i64>(sums).await;
    db.run(&format!("begin; {UP}; commit")).await;
    assert_eq!(db.row::<i64>(sums).await, had);
    assert_eq!(db.row::<i64>("select sum(balance) from ledger_balances").await, 0);

    db.run(&line("now()", "99")).await;
    assert_eq!(db.row::<i64>("select max(id) from ledger").await, 7);
    db.run(DOWN).await;
    assert_eq!(db.row::<i64>("select count(*) from ledger").await, 7, "and back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_of_a_year_to_come_has_its_lines_in_a_partition_of_that_year_and_each_of_them_once() {
    let db = before().await;
    db.run(&format!("begin; {UP}; commit")).await;
    for years in [1, 2] {
        db.run(&line(&format!("now() + interval '{years} years'"), "1")).await;
    }
    assert_eq!(db.row::<i64>("select count(distinct tableoid) from ledger").await, 3);
    let again = "insert into ledger (payment_id, operation, amount, currency, key, debit, credit)
                 select payment_id, operation, amount, currency, key, debit, credit from ledger";
    let error = db.conn().await.batch_execute(again).await.unwrap_err();
    assert!(error.to_string().contains("unique constraint"), "{error}");

    let partitions = "select count(*) from pg_inherits where inhparent = 'ledger'::regclass";
    let all = db.row::<i64>(partitions).await;
    db.run("select ledger_upkeep()").await;
    assert_eq!(db.row::<i64>(partitions).await, all, "it has nothing to do");
    // as if the last had not been made yet
    let last = "do $$ begin execute 'drop table ledger_' || extract(year from now() at time zone 'UTC') + 2; end $$";
    db.run(last).await;
    db.run("select ledger_upkeep()").await;
    assert_eq!(db.row::<i64>(partitions).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_never_rewritten_in_any_partition_and_none_is_refused_for_its_payments_number() {
    let db = TestDb::new(&payment_svc::migrations()).await;
    let payment = PaymentId("f0000000-0000-4000-8000-000000000001".parse().unwrap());
    db.run(&format!(
        "insert into payments (payment_id, order_id, state) values ('{payment}', gen_random_uuid(), 'captured');
             insert into ledger (payment_id, operation, amount, currency, key, debit, credit)
                values ('{payment}', 'capture', 5, 'EUR', 'k', 'customer', 'revenue')"
    ))
    .await;
    let lines = ledger::of(&*db.conn().await, payment).await.unwrap();
    assert_eq!(lines.iter().map(|line| line.amount).collect::<Vec<_>>(), [5]);
    let year = db.row::<i64>("select extract(year from now() at time zone 'UTC')::bigint").await;
    for table in
        ["ledger".to_owned(), "ledger_other".into(), format!("ledger_until_{year}"), format!("ledger_{}", year + 1)]
    {
        for change in
            [format!("update {table} set amount = 1"), format!("delete from {table}"), format!("truncate {table}")]
        {
            let error = db.conn().await.batch_execute(&change).await.unwrap_err().to_string();
            assert!(error.contains("never updated and never deleted"), "{change}: {error}");
        }
    }
}
