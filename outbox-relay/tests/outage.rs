//! The broker is away for a while: rows wait, nothing is parked, and it goes on by itself.

mod support;

use std::time::Duration;

use nix::sys::signal::Signal;
use outbox_relay::republish::{Window, send_again};
use outbox_relay::{BatchOutcome, Bound, Relay, RelayConfig, State};
use quadrille_servers::{Durability, Kafka, kafka::Options};
use service_kit::testing::eventually;
use support::{SOON, commit, config, first_appearances, read_at, row, topic_at, used_database};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_rows_wait_while_the_broker_is_away_and_are_published_in_order_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut options =
        Options { folder: folder.path().join("kafka"), port: None, durability: Durability::Tests, jars: None };
    let mut node = Kafka::start(&options).await.unwrap();
    options.port = Some(node.port());
    let (db, topic) = (used_database().await, topic_at(&node.bootstrap(), &[]).await);
    let relay = Relay::to_kafka(config(&db, &node.bootstrap()));
    let (health, stop) = (relay.health(), CancellationToken::new());
    let _running = stop.clone().drop_guard();
    tokio::spawn(relay.run(stop));
    commit(&db, (0..1000).map(|number| row(&topic, &format!("k{}", number % 7), number)).collect()).await;
    eventually("all is published", SOON, async || db.count("outbox").await == 0).await;

    node.identity().signal(Signal::SIGKILL);
    node.wait().await.unwrap();
    for lot in 1..6 {
        let numbers = lot * 1000..(lot + 1) * 1000;
        commit(&db, numbers.map(|number| row(&topic, &format!("k{}", number % 7), number)).collect()).await;
    }
    eventually("the outage is told", SOON, async || matches!(health.state(), State::Outage(_))).await;
    assert_eq!((db.count("outbox").await, db.count("outbox_parked").await), (5000, 0));

    let node = Kafka::start(&options).await.unwrap();
    eventually("all is published", SOON, async || db.count("outbox").await == 0).await;
    eventually("the outage is over", SOON, async || health.state() == State::Leading).await;
    let seen = first_appearances(&read_at(&node.bootstrap(), &topic).await);
    for numbers in seen.values() {
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
    assert_eq!(seen.values().map(Vec::len).sum::<usize>(), 6000);
    node.stop(Duration::from_secs(20)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_what_is_sent_again_waits_out_an_outage_and_leaves_nothing_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut options =
        Options { folder: folder.path().join("kafka"), port: None, durability: Durability::Tests, jars: None };
    let mut node = Kafka::start(&options).await.unwrap();
    options.port = Some(node.port());
    let (db, bootstrap) = (used_database().await, node.bootstrap());
    let (gone, topic) = (topic_at(&bootstrap, &[]).await, topic_at(&bootstrap, &[]).await);
    commit(&db, (0..3000).map(|number| row(&gone, &format!("k{}", number % 7), number)).collect()).await;
    let keeping = config(&db, &bootstrap).archive("7d".parse().ok());
    let mut relay = Relay::to_kafka(keeping.clone());
    while relay.run_once().await.unwrap() != BatchOutcome::Idle {}
    // into another topic, so that what is sent again can be told from the first time
    let moved = format!("update outbox_archive set topic = '{topic}'");
    db.run(moved).await;

    let tiny = Bound { rows: 10, bytes: 1 << 20 };
    let slow = RelayConfig { batch: tiny, in_flight: Bound { rows: 40, ..tiny }, ..keeping };
    let (window, never) = (Window::whole(&topic), CancellationToken::new());
    let sending = tokio::spawn(async move { send_again(&slow, &window, &never).await });
    eventually("some of it is sent", SOON, async || !read_at(&bootstrap, &topic).await.is_empty()).await;
    node.identity().signal(Signal::SIGKILL);
    node.wait().await.unwrap();
    assert!(!sending.is_finished());
    let node = Kafka::start(&options).await.unwrap();
    assert_eq!(sending.await.unwrap().unwrap(), 3000);
    let seen = first_appearances(&read_at(&bootstrap, &topic).await);
    for numbers in seen.values() {
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
    assert_eq!(seen.values().map(Vec::len).sum::<usize>(), 3000);
    node.stop(Duration::from_secs(20)).await.unwrap();
}
