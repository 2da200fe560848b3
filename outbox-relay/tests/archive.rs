//! What was published is kept for a time, where that is asked for.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod support;

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use outbox_relay::{Archive, BatchOutcome, NullPublisher, Relay, RelayConfig, parked};
use service_kit::testing::{Running, TestDb, eventually};
use support::{SOON, Traffic, commit, holds, large, relay_to_tests_kafka, row, topic, used_database};

const DAY: Duration = Duration::from_hours(24);

fn keeping(db: &TestDb, time: Duration) -> RelayConfig {
    relay_to_tests_kafka(db).archive(Some(Archive::try_from(time).unwrap()))
}

fn run(config: RelayConfig) -> Running<()> {
    Running::start(|stop| Relay::to_kafka(config).run(stop))
}

/// Publishes to nowhere until nothing is left.
async fn drain(config: RelayConfig) {
    let mut relay = Relay::new(config, NullPublisher::default());
    while relay.run_once().await.unwrap() != BatchOutcome::Idle {}
}

/// A copy of what is pending, to compare the archive with.
async fn remember(db: &TestDb) {
    let copy = "create table if not exists was (like outbox); insert into was select * from outbox";
    db.run(copy).await;
}

const SAME: &str = "not exists (
    select id, event_id, topic, key, headers::text, payload, created_at from was except all
    select id, event_id, topic, key, headers::text, payload, created_at from outbox_archive)
    and (select count(*) from was) = (select count(*) from outbox_archive)";

/// A partition of the archive whose time began `days` days ago, with a row.
async fn old_partition(db: &TestDb, days: i32) {
    let make = format!(
        "create table old_{days} partition of outbox_archive
            for values from (current_date - {days}) to (current_date - {days} + 1);
        insert into outbox_archive (id, event_id, topic, key, headers, payload, created_at, archived_at)
            values ({days}, gen_random_uuid(), 't', 'k', '[]', '', now(), current_date - {days})"
    );
    db.run(&make).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_holds_exactly_what_was_published_byte_for_byte() {
    let (db, topic) = (used_database().await, topic(&[]).await);
    commit(&db, (0..500).map(|number| row(&topic, &format!("k{}", number % 7), number)).collect()).await;
    let odd = format!(
        "insert into outbox (event_id, topic, key, headers, payload)
        values (gen_random_uuid(), '{topic}', '', '[[\"n\", \"1\"],  [\"n\",\"2\"]]', '\\x00ff')"
    );
    db.run(&odd).await;
    remember(&db).await;
    drain(keeping(&db, DAY)).await;
    assert_eq!(db.count("outbox").await, 0);
    assert!(holds(&db, SAME).await);
    assert!(holds(&db, "(select bool_and(archived_at >= created_at) from outbox_archive)").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_unless_it_is_asked_for() {
    let (db, topic) = (used_database().await, topic(&[]).await);
    commit(&db, (0..50).map(|number| row(&topic, "k", number)).collect()).await;
    drain(relay_to_tests_kafka(&db)).await;
    assert_eq!((db.count("outbox").await, db.count("outbox_archive").await), (0, 0));
    assert_eq!(db.count("outbox_archive_partitions").await, 0);
    assert!(holds(&db, "(select whole_since is null from outbox_archive_state)").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_parked_rows_are_kept_once_they_are_published_and_not_when_they_are_discarded() {
    let (db, topic) = (used_database().await, topic(&[("max.message.bytes", "20000")]).await);
    let _running = run(keeping(&db, DAY));
    commit(&db, vec![row(&topic, "bad", 1), large(&topic, "bad", 2, 40_000), row(&topic, "bad", 3)]).await;
    eventually("two are parked", SOON, async || db.count("outbox_parked").await == 2).await;
    assert_eq!(db.count("outbox_archive").await, 1);
    let refused = parked::list(&mut *db.conn().await, 0, 1).await.unwrap().remove(0);
    parked::discard(&mut *db.conn().await, refused.id).await.unwrap();
    eventually("nothing is parked", SOON, async || db.count("outbox_parked").await == 0).await;
    assert_eq!(db.count("outbox_archive").await, 2);
    assert!(holds(&db, &format!("not exists (select from outbox_archive where id = {})", refused.id)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn within_a_key_the_archives_times_have_the_order_of_the_ids_under_traffic() {
    let (db, topic) = (used_database().await, topic(&[]).await);
    let running = run(keeping(&db, DAY));
    let traffic = Traffic::start(&db, &topic);
    eventually("some hundred are kept", SOON, async || db.count("outbox_archive").await > 500).await;
    let rows = traffic.end().await;
    eventually("all is published", SOON, async || db.count("outbox").await == 0).await;
    drop(running);
    assert_eq!(db.count("outbox_archive").await, i64::try_from(rows * 5).unwrap());
    let overtaken =
        "select from (select archived_at < lag(archived_at) over (partition by topic, key order by id) as late
        from outbox_archive) as rows where late";
    assert!(holds(&db, &format!("not exists ({overtaken})")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_over_go_and_the_archive_says_since_when_it_is_whole() {
    let (db, topic) = (used_database().await, topic(&[]).await);
    db.conn()
        .await
        .batch_execute("update outbox_archive_state set kept = '7 days', whole_since = '2020-01-01'")
        .await
        .unwrap();
    for days in [6, 8, 9] {
        old_partition(&db, days).await;
    }
    commit(&db, vec![row(&topic, "k", 1)]).await;
    drain(keeping(&db, 7 * DAY)).await;
    assert!(holds(&db, "(select array_agg(id) from outbox_archive where topic = 't') = '{6}'").await);
    assert!(holds(&db, "(select whole_since = current_date - 7 from outbox_archive_state)").await);
    assert!(
        holds(&db, "(select max(high) > now() + interval '1 day' from outbox_archive_partitions)").await,
        "made ahead"
    );
    assert_eq!(db.count("outbox_archive where topic <> 't'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_archive_keeps_an_old_partition_and_never_the_relay() {
    let (db, topic) = (used_database().await, topic(&[]).await);
    old_partition(&db, 9).await;
    let mut reader = db.conn().await;
    reader.batch_execute("begin; lock table outbox_archive in access share mode").await.unwrap();
    commit(&db, (0..300).map(|number| row(&topic, "k", number)).collect()).await;
    drain(keeping(&db, DAY)).await;
    assert_eq!(db.count("outbox_archive where topic = 't'").await, 1, "it is being read");
    assert_eq!(db.count("outbox_archive").await, 301);
    reader.batch_execute("rollback").await.unwrap();
    drain(keeping(&db, DAY)).await;
    assert_eq!(db.count("outbox_archive where topic = 't'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_turned_off_is_whole_no_more_and_goes_when_its_time_is_over() {
    let (db, topic) = (used_database().await, topic(&[]).await);
    commit(&db, vec![row(&topic, "k", 1)]).await;
    drain(keeping(&db, DAY)).await;
    assert!(holds(&db, "(select whole_since <= now() from outbox_archive_state)").await);
    old_partition(&db, 9).await;
    commit(&db, vec![row(&topic, "k", 2)]).await;
    drain(relay_to_tests_kafka(&db)).await;
    assert_eq!(db.count("outbox_archive").await, 1);
    assert!(holds(&db, "(select whole_since is null from outbox_archive_state)").await);
    drain(keeping(&db, DAY)).await;
    assert!(
        holds(&db, "(select whole_since > (select max(archived_at) from outbox_archive) from outbox_archive_state)")
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_time_to_keep_goes_on_where_the_partitions_end() {
    let (db, topic) = (used_database().await, topic(&[]).await);
    for (number, time) in [DAY, 30 * DAY, Duration::from_mins(1), 365 * DAY, DAY].into_iter().enumerate() {
        commit(&db, vec![row(&topic, "k", number)]).await;
        drain(keeping(&db, time)).await;
    }
    assert_eq!(db.count("outbox_archive").await, 5);
    let gap =
        "select from (select low <> lag(high) over (order by low) as gap from outbox_archive_partitions) p where gap";
    assert!(holds(&db, &format!("not exists ({gap})")).await);
}
