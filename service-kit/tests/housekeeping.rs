//! Old rows are deleted in bounded batches, on a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use service_kit::housekeeping::{BATCH, Pruned, TimeToLive, prune};
use service_kit::testing::TestDb;
use tokio_util::sync::CancellationToken;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A table of notes, of which `old` are ten days old and more, and `fresh` were made now.
async fn notes(old: i64, fresh: i64) -> TestDb {
    let db = TestDb::new(&[service_kit::MIGRATIONS]).await;
    let fill = format!(
        "set statement_timeout = '5min';
         create table notes (id bigint primary key, at timestamptz not null, open boolean not null default false);
         create index notes_by_age on notes (at);
         insert into notes select n, now() - interval '10 days' - n * interval '1 ms' from generate_series(1, {old}) n;
         insert into notes select -n, now() from generate_series(1, {fresh}) n"
    );
    db.run(&fill).await;
    db
}

async fn pruned(db: &TestDb, rule: &TimeToLive) -> Pruned {
    prune(&db.pool, rule, &CancellationToken::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_old_rows_go_in_batches_of_a_thousand_and_fresh_ones_stay() {
    let db = notes(1_000_000, 10).await;
    // A statement that deleted more than a batch would end at this.
    let limit = format!(
        "create function batches_are_bounded() returns trigger language plpgsql as $$ begin
            if (select count(*) from gone) > {BATCH} then raise exception 'too many rows at once'; end if; return null;
         end $$;
         create trigger batches_are_bounded after delete on notes referencing old table as gone
            for each statement execute function batches_are_bounded()"
    );
    db.run(&limit).await;
    let Pruned { rows, batches } = pruned(&db, &TimeToLive::new("notes", "id", "at", DAY)).await;
    assert_eq!(rows, 1_000_000);
    assert!((1_000..=1_001).contains(&batches), "{batches}");
    assert_eq!(db.count("notes").await, 10);
    // test databases stay until the server goes: what a million rows took must not
    db.run("truncate notes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_spared_stay_and_hide_nothing_behind_them() {
    let db = notes(5 * BATCH, 0).await;
    // the oldest three batches, all of one moment, are still needed
    let open = format!("update notes set open = true, at = now() - interval '20 days' where id > {}", 2 * BATCH);
    db.run(&open).await;
    let rule = TimeToLive::new("notes", "id", "at", DAY)
        .deleting("delete from notes where id in (select key from old) and not open returning id as key");
    assert_eq!(pruned(&db, &rule).await.rows, 2 * BATCH);
    assert_eq!(db.count("notes where open").await, 3 * BATCH);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_once_it_is_told_to_stop() {
    let (db, stop) = (notes(10, 0).await, CancellationToken::new());
    stop.cancel();
    let rule = TimeToLive::new("notes", "id", "at", DAY);
    assert_eq!(prune(&db.pool, &rule, &stop).await.unwrap(), Pruned::default());
    assert_eq!(db.count("notes").await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_there_stops_no_other() {
    let (db, stop) = (notes(10, 1).await, CancellationToken::new());
    let rules = ["no_such_table", "notes"].map(|table| TimeToLive::new(table, "id", "at", DAY));
    let running = tokio::spawn(service_kit::housekeeping::run(db.pool.clone(), rules.to_vec(), stop.clone()));
    service_kit::testing::eventually("the old ones are gone", Duration::from_secs(30), async || {
        db.count("notes").await == 1
    })
    .await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_batches_read_each_index_entry_once_though_an_old_snapshot_keeps_those_of_deleted_rows() {
    let db = notes(50 * BATCH, 0).await;
    let mut reader = db.conn().await;
    reader.batch_execute("begin isolation level repeatable read; select count(*) from notes").await.unwrap();
    assert_eq!(pruned(&db, &TimeToLive::new("notes", "id", "at", DAY)).await.rows, 50 * BATCH);
    reader.batch_execute("commit").await.unwrap();
    let read = "select idx_tup_read from pg_stat_user_indexes where indexrelname = 'notes_by_age'";
    let read = async || db.row::<i64>(read).await;
    let told = Duration::from_secs(30);
    service_kit::testing::eventually("the reads are counted", told, async || read().await >= 50 * BATCH).await;
    // from the front each time it would be 25 times as many
    assert!(read().await <= 2 * 50 * BATCH, "{}", read().await);
}
