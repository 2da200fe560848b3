//! A producer that has just begun, on a topic that has just been made: what the relay calls published is in the topic.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod support;

use std::collections::BTreeSet;

use outbox_relay::{KafkaPublisher, Relay, RelayConfig};
use service_kit::testing::{TestDb, eventually, kafka_bootstrap};
use support::spoiler::{Told, spoiled_way};
use support::{SOON, commit, first_appearances, large, narrow_topic, read, relay_to_tests_kafka, row, used_database};
use tokio_util::sync::{CancellationToken, DropGuard};

const ROWS: usize = 6;

/// Rows 1 to 6 of one key.
async fn commit_rows(db: &TestDb, topic: &str) {
    commit(db, (1..=ROWS).map(|number| row(topic, "a", number)).collect()).await;
}

/// Runs a relay that keeps what it published.
fn run(db: &TestDb, publisher: KafkaPublisher) -> DropGuard {
    let config = RelayConfig { archive: "7d".parse().ok(), ..relay_to_tests_kafka(db) };
    let stop = CancellationToken::new();
    tokio::spawn(Relay::new(config, publisher).run(stop.clone()));
    stop.drop_guard()
}

fn publisher(bootstrap: &str) -> KafkaPublisher {
    KafkaPublisher::new(&bootstrap.into(), 400, 4 << 20)
}

/// The numbers of the key's rows that the relay says it has published.
async fn archived(db: &TestDb) -> BTreeSet<usize> {
    let numbers = "select h ->> 1 as number from outbox_archive, json_array_elements(headers) h
        where key = 'a' and h ->> 0 = 'n'";
    db.rows::<String>(numbers).await.iter().map(|number| number.parse().unwrap()).collect()
}

/// Waits until all rows of the key are published, and returns their numbers as a consumer sees them.
async fn published(db: &TestDb, topic: &str) -> Vec<usize> {
    eventually("all is published", SOON, async || db.count("outbox").await == 0).await;
    let seen = first_appearances(&read(topic).await).remove("a").unwrap_or_default();
    let lost: Vec<_> = archived(db).await.into_iter().filter(|number| !seen.contains(number)).collect();
    assert_eq!(lost, [0; 0], "rows of the key that are archived as published and that the topic doesn't hold");
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_nothing_is_lost_or_overtaken_when_the_first_request_of_a_partition_is_refused() {
    let (db, topic) = (used_database().await, narrow_topic(&[]).await);
    commit_rows(&db, &topic).await;
    let way = spoiled_way(&kafka_bootstrap(), &topic, 1, Told::UnknownTopic);
    let _running = run(&db, publisher(&way.address).with("batch.num.messages", "1"));
    assert_eq!(published(&db, &topic).await, (1..=ROWS).collect::<Vec<_>>());
    assert!(way.has_spoiled());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_success_without_an_offset_is_not_believed() {
    let (db, topic) = (used_database().await, narrow_topic(&[]).await);
    commit_rows(&db, &topic).await;
    let way = spoiled_way(&kafka_bootstrap(), &topic, 1, Told::Duplicate);
    let _running = run(&db, publisher(&way.address));
    assert_eq!(published(&db, &topic).await, (1..=ROWS).collect::<Vec<_>>());
    assert!(way.has_spoiled());
}

/// The client counts up from the offset that it was told, which is -1: of such a batch only the first row has none.
#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_whole_batch_without_an_offset_is_not_believed() {
    let (db, topic) = (used_database().await, narrow_topic(&[]).await);
    commit_rows(&db, &topic).await;
    let way = spoiled_way(&kafka_bootstrap(), &topic, 2, Told::Duplicate);
    let _running = run(&db, publisher(&way.address).with("linger.ms", "100"));
    assert_eq!(published(&db, &topic).await, (1..=ROWS).collect::<Vec<_>>());
    assert!(way.has_spoiled());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_row_that_is_too_large_is_not_overtaken_in_a_partition_that_is_new() {
    let (db, topic) = (used_database().await, narrow_topic(&[("max.message.bytes", "20000")]).await);
    commit(&db, vec![large(&topic, "a", 1, 40_000), row(&topic, "a", 2), row(&topic, "b", 3)]).await;
    let _running = run(&db, publisher(&kafka_bootstrap()).with("batch.num.messages", "1"));
    assert_eq!(published(&db, &topic).await, [0; 0]);
    assert_eq!(db.count("outbox_parked where key = 'a'").await, 2, "the large one, and the one behind it");
    assert_eq!(first_appearances(&read(&topic).await)["b"], [3]);
}
