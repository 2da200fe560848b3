//! A row that the broker refuses for good: its key is parked, the others go on, nothing overtakes.

mod support;

use outbox_relay::{BatchOutcome, Relay, State, parked};
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};
use service_kit::testing::{Running, TestDb, eventually, kafka_bootstrap};
use support::{
    SOON, Traffic, admin, commit, first_appearances, large, read, relay_to_tests_kafka, row, topic, used_database,
};
use tokio_util::sync::CancellationToken;

/// What the topics here take; a row of [`TOO_LARGE`] bytes is more.
const SMALL: &[(&str, &str)] = &[("max.message.bytes", "20000")];
const TOO_LARGE: usize = 40_000;

fn run(db: &TestDb) -> Running<()> {
    Running::start(|stop| Relay::to_kafka(relay_to_tests_kafka(db)).run(stop))
}

/// Rows 1 to 4 of the keys `bad` and `good`, of which `bad`'s second is too large.
async fn commit_one_too_large(db: &TestDb, topic: &str) {
    for number in 1..=4 {
        let of_bad = if number == 2 { large(topic, "bad", 2, TOO_LARGE) } else { row(topic, "bad", number) };
        commit(db, vec![of_bad, row(topic, "good", number)]).await;
    }
}

async fn emptied(db: &TestDb) {
    eventually("the outbox is empty", SOON, async || db.count("outbox").await == 0).await;
}

async fn none_parked(db: &TestDb) {
    eventually("nothing is parked", SOON, async || db.count("outbox_parked").await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_row_that_cannot_be_published_parks_only_its_key_and_nothing_overtakes() {
    let (db, topic) = (used_database().await, topic(SMALL).await);
    let _running = run(&db);
    let traffic = Traffic::start(&db, &topic);
    commit_one_too_large(&db, &topic).await;
    eventually("bad's rows are parked", SOON, async || db.count("outbox_parked").await == 3).await;
    commit(&db, vec![row(&topic, "bad", 5), row(&topic, "good", 5)]).await;
    let rows = traffic.end().await;
    emptied(&db).await;
    let seen = first_appearances(&read(&topic).await);
    assert_eq!((&seen["bad"], &seen["good"]), (&vec![1], &vec![1, 2, 3, 4, 5]));
    for key in 0..5 {
        assert_eq!(seen[&format!("traffic-{key}")], (0..rows).collect::<Vec<_>>());
    }
    let listed = parked::list(&mut *db.conn().await, 0, 10).await.unwrap();
    let reasons: Vec<bool> = listed.iter().map(|row| row.reason.is_some()).collect();
    assert_eq!(reasons, [true, false, false, false], "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_others_wrote_with_headers_that_are_none_parks_only_its_key() {
    let (db, topic) = (used_database().await, topic(&[]).await);
    commit(&db, vec![row(&topic, "bad", 1), row(&topic, "good", 1)]).await;
    let by_hand = format!(
        "insert into outbox (event_id, topic, key, headers, payload)
        values (gen_random_uuid(), '{topic}', 'bad', '{{\"n\":2}}', '')"
    );
    db.run(by_hand).await;
    commit(&db, vec![row(&topic, "bad", 3), row(&topic, "good", 2)]).await;
    let _running = run(&db);
    emptied(&db).await;
    assert_eq!(db.count("outbox_parked").await, 2);
    let seen = first_appearances(&read(&topic).await);
    assert_eq!((&seen["bad"], &seen["good"]), (&vec![1], &vec![1, 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_discarding_the_refused_row_publishes_those_behind_it_in_order() {
    let (db, topic) = (used_database().await, topic(SMALL).await);
    let _running = run(&db);
    commit_one_too_large(&db, &topic).await;
    eventually("bad's rows are parked", SOON, async || db.count("outbox_parked").await == 3).await;
    let refused = parked::list(&mut *db.conn().await, 0, 1).await.unwrap().remove(0);
    assert!(parked::discard(&mut *db.conn().await, refused.id).await.unwrap());
    assert!(!parked::discard(&mut *db.conn().await, -1).await.unwrap());
    commit(&db, vec![row(&topic, "bad", 5)]).await;
    none_parked(&db).await;
    emptied(&db).await;
    assert_eq!(first_appearances(&read(&topic).await)["bad"], [1, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_retry_publishes_the_parked_rows_first_and_one_that_is_refused_again_stays() {
    let (db, topic) = (used_database().await, topic(SMALL).await);
    commit_one_too_large(&db, &topic).await;
    let mut relay = Relay::to_kafka(relay_to_tests_kafka(&db));
    let first = relay.run_once().await.unwrap();
    assert!(matches!(first, BatchOutcome::Done { .. }), "{first:?}");
    while relay.run_once().await.unwrap() != BatchOutcome::Idle {}
    assert_eq!(db.count("outbox_parked").await, 3);

    assert_eq!(parked::retry(&mut *db.conn().await, &topic, "bad").await.unwrap(), 3);
    assert_eq!(relay.run_once().await.unwrap(), BatchOutcome::Idle);
    assert_eq!(db.count("outbox_parked where asked is null").await, 3, "it was refused again, and asks no more");

    let larger = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("max.message.bytes", "1000000");
    admin(&kafka_bootstrap()).alter_configs([&larger], &AdminOptions::new()).await.unwrap();
    commit(&db, vec![row(&topic, "bad", 5)]).await;
    let _running = run(&db);
    eventually("the broker knows the new limit and all is published", SOON, async || {
        parked::retry(&mut *db.conn().await, &topic, "bad").await.unwrap();
        db.count("outbox_parked").await == 0
    })
    .await;
    emptied(&db).await;
    let seen = first_appearances(&read(&topic).await);
    assert_eq!((&seen["bad"], &seen["good"]), (&vec![1, 2, 3, 4, 5], &vec![1, 2, 3, 4]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_is_an_outage_and_parks_nothing() {
    let db = used_database().await;
    let name = service_kit::testing::unique("later");
    commit(&db, (1..=3).map(|number| row(&name, "k", number)).collect()).await;
    let publisher = outbox_relay::KafkaPublisher::new(&kafka_bootstrap().into(), 400, 4 << 20)
        .with("topic.metadata.propagation.max.ms", "300");
    let mut relay = Relay::new(relay_to_tests_kafka(&db), publisher);
    let outcome = relay.run_once().await.unwrap();
    assert!(matches!(outcome, BatchOutcome::Outage(_)), "{outcome:?}");
    assert_eq!((db.count("outbox").await, db.count("outbox_parked").await), (3, 0));
    support::make_topic(&kafka_bootstrap(), &name, &[]).await;
    let stop = CancellationToken::new();
    let _running = stop.clone().drop_guard();
    tokio::spawn(relay.run(stop));
    emptied(&db).await;
    assert_eq!(first_appearances(&read(&name).await)["k"], [1, 2, 3]);
}

/// As on a host whose clock is wrong: the broker takes no row that is older than it is.
#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_timestamps_that_the_broker_refuses_are_an_outage_and_park_nothing() {
    let (db, topic) = (used_database().await, topic(&[("message.timestamp.before.max.ms", "0")]).await);
    commit(&db, (1..=3).map(|number| row(&topic, "k", number)).collect()).await;
    let publisher = outbox_relay::KafkaPublisher::new(&kafka_bootstrap().into(), 400, 4 << 20).with("linger.ms", "50");
    let relay = Relay::new(relay_to_tests_kafka(&db), publisher);
    let (health, stop) = (relay.health(), CancellationToken::new());
    let _running = stop.clone().drop_guard();
    tokio::spawn(relay.run(stop));
    let told = || matches!(health.state(), State::Outage(why) if why.contains("imestamp"));
    eventually("the outage is told", SOON, async || told()).await;
    assert_eq!((db.count("outbox").await, db.count("outbox_parked").await), (3, 0));
    let taken = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("message.timestamp.before.max.ms", "3600000");
    admin(&kafka_bootstrap()).alter_configs([&taken], &AdminOptions::new()).await.unwrap();
    emptied(&db).await;
    assert_eq!(db.count("outbox_parked").await, 0);
    assert_eq!(first_appearances(&read(&topic).await)["k"], [1, 2, 3]);
}
