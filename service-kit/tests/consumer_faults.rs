//! What the consumer does when something fails under it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::kafka::{Member, Producer, SOON, committed, config, same_instance, topic};
use common::server::Server;
use common::{Copies, Notebook, database, headers, heard};
use diesel::sql_query;
use diesel_async::RunQueryDsl;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use secrecy::SecretString;
use service_kit::config::DatabaseConfig;
use service_kit::consumer::testing::react_as;
use service_kit::consumer::{Outcome, Record, Subscription};
use service_kit::pool;
use service_kit::testing::{eventually, unique};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_commit_and_offset_repeats_the_event_and_changes_nothing() {
    let (db, topic, group, producer) = (database().await, topic(1).await, unique("g"), Producer::new());
    let (id, inbox) = (Uuid::now_v7(), Subscription::inbox(&topic));
    producer.send(&topic, "k", "once", id).await;
    // what the member did before it was killed: the transaction, but not the offset
    let record = Record::sent(&topic, "k", headers(id, "noted.v1"), "once");
    let outcome = react_as(&db.pool, &group, &inbox, &Notebook::default(), &Copies, &record).await.unwrap();
    assert_eq!((outcome, committed(&group, &topic).await), (Outcome::Applied, None));

    let member = Member::start(&db.pool, &group, vec![inbox], Arc::new(Notebook::default()));
    producer.say(&topic, "k", "next").await;
    eventually("the next is heard", SOON, async || heard(&db, &["k"]).await.len() > 1).await;
    assert_eq!(heard(&db, &["k"]).await, ["once", "next"]);
    eventually("both are done", SOON, async || committed(&group, &topic).await == Some(2)).await;
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_passes_holds_the_partition_and_its_offset() {
    let (db, topic, group, producer) = (database().await, topic(1).await, unique("g"), Producer::new());
    let notebook = Arc::new(Notebook::default());
    let member = Member::start(&db.pool, &group, vec![Subscription::inbox(&topic)], Arc::clone(&notebook));
    producer.say(&topic, "k", "1").await;
    eventually("the first is done", SOON, async || committed(&group, &topic).await == Some(1)).await;
    notebook.out_of_ink.store(true, Ordering::SeqCst);
    producer.say(&topic, "k", "2").await;
    producer.say(&topic, "other", "3").await;
    // told to stop while it waits, it goes at once and leaves the offset where it was
    member.stop().await;
    assert_eq!((committed(&group, &topic).await, db.count("dead_letters").await), (Some(1), 0));

    notebook.out_of_ink.store(false, Ordering::SeqCst);
    let member = Member::start(&db.pool, &group, vec![Subscription::inbox(&topic)], notebook);
    eventually("all are heard", SOON, async || heard(&db, &["k", "other"]).await == ["1", "2", "3"]).await;
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_event_in_a_batch_costs_only_itself() {
    let (db, topic, group, producer) = (database().await, topic(1).await, unique("g"), Producer::new());
    let said: Vec<_> = (0..30).map(|n| if n == 17 { "poison".to_owned() } else { n.to_string() }).collect();
    for what in &said {
        producer.say(&topic, what, what).await;
    }
    let member = Member::start(&db.pool, &group, vec![Subscription::inbox(&topic)], Arc::new(Notebook::default()));
    eventually("all are done", SOON, async || committed(&group, &topic).await == Some(30)).await;
    let keys: Vec<_> = said.iter().map(String::as_str).collect();
    let fine: Vec<_> = said.iter().filter(|what| *what != "poison").cloned().collect();
    assert_eq!(heard(&db, &keys).await, fine);
    assert_eq!((db.count("dead_letters").await, db.count("parked_keys").await), (1, 1));
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_ends_every_session_loses_and_repeats_nothing() {
    let (db, topic, group, producer) = (database().await, topic(2).await, unique("g"), Producer::new());
    let member = Member::start(&db.pool, &group, vec![Subscription::inbox(&topic)], Arc::new(Notebook::default()));
    let said: Vec<_> = (0..60).map(|n| n.to_string()).collect();
    let mut outsider = service_kit::pool::connect(&db.url).await.unwrap();
    for (n, what) in said.iter().enumerate() {
        producer.say(&topic, "k", what).await;
        if n % 10 == 5 {
            let end = "select pg_terminate_backend(pid) from pg_stat_activity \
                       where datname = current_database() and pid <> pg_backend_pid()";
            sql_query(end).execute(&mut outsider).await.unwrap();
        }
    }
    eventually("all are heard", SOON, async || heard(&db, &["k"]).await.len() >= said.len()).await;
    assert_eq!(heard(&db, &["k"]).await, said);
    assert_eq!(db.count("dead_letters").await, 0);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_lanes_pause_their_partitions_and_go_on_in_order() {
    let (db, topic, group, producer) = (database().await, topic(2).await, unique("g"), Producer::new());
    let said: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    for what in &said {
        tokio::join!(producer.say(&topic, "k", what), producer.say(&topic, "l", what));
    }
    let mut small = config(&group);
    (small.lane_records, small.batch_records) = (40, 4);
    let heard_here = vec![Subscription::inbox(&topic)];
    let member = Member::start_as(&db.pool, small, heard_here, Arc::new(Notebook::default()));
    for key in ["k", "l"] {
        eventually("all are heard", SOON, async || heard(&db, &[key]).await.len() >= said.len()).await;
        assert_eq!(heard(&db, &[key]).await, said);
    }
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_brokers_a_member_is_not_well_and_still_stops_in_time() {
    let db = database().await;
    let mut nowhere = config(&unique("g"));
    "127.0.0.1:1".clone_into(&mut nowhere.brokers.bootstrap);
    let member = Member::start_as(&db.pool, nowhere, vec![Subscription::inbox("t")], Arc::new(Notebook::default()));
    assert!(!member.handle.is_well() && !member.handle.caught_up("t"));
    let told = Instant::now();
    member.stop().await;
    assert!(told.elapsed() < Duration::from_secs(15), "{:?}", told.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_stay_away_at_the_start_end_the_consumer_with_their_address() {
    let db = database().await;
    let mut nowhere = config(&unique("g"));
    "127.0.0.1:1".clone_into(&mut nowhere.brokers.bootstrap);
    nowhere.start = Duration::from_secs(1);
    let member = Member::start_as(&db.pool, nowhere, vec![Subscription::inbox("t")], Arc::new(Notebook::default()));
    assert!(!member.handle.broker_answers());
    let told = Instant::now();
    let error = member.end().await.unwrap_err();
    assert!(format!("{error:#}").contains("127.0.0.1:1"), "{error:#}");
    assert!(told.elapsed() < SOON, "{:?}", told.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_are_known_to_answer_while_the_database_does_not() {
    let (db, topic, group) = (database().await, topic(1).await, unique("g"));
    let nowhere = db.pool.clone();
    nowhere.close();
    let member = Member::start(&nowhere, &group, vec![Subscription::inbox(&topic)], Arc::new(Notebook::default()));
    eventually("the brokers answer", SOON, async || member.handle.broker_answers()).await;
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_are_known_to_answer_while_the_database_stands_still() {
    let (server, topic, group) = (Server::start().await, topic(1).await, unique("g"));
    let config = DatabaseConfig { url: SecretString::from(server.url()), pool_size: 2 };
    let pool = pool::open(&config).await.unwrap();
    // connections that are there and never answer again, so that each statement waits for its whole time
    let mut open = Vec::new();
    while let Ok(conn) = pool.get().await {
        open.push(conn);
    }
    let backends: Vec<_> = open.iter().map(|conn| conn.backend()).collect();
    server.freeze(&backends);
    drop(open);
    let member = Member::start(&pool, &group, vec![Subscription::inbox(&topic)], Arc::new(Notebook::default()));
    eventually("the brokers answer", SOON, async || member.handle.broker_answers()).await;
    server.thaw(&backends);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_static_member_that_comes_back_finds_its_partitions() {
    let (db, topic, group, producer) = (database().await, topic(2).await, unique("g"), Producer::new());
    let start = || {
        let mut named = config(&group);
        named.group_instance_id = Some(format!("{group}-1"));
        Member::start_as(&db.pool, named, vec![Subscription::inbox(&topic)], Arc::new(Notebook::default()))
    };
    for what in ["1", "2", "3"] {
        let member = start();
        producer.say(&topic, "k", what).await;
        eventually("it is heard", SOON, async || heard(&db, &["k"]).await.last().is_some_and(|last| last == what))
            .await;
        member.stop().await;
    }
    assert_eq!(heard(&db, &["k"]).await, ["1", "2", "3"]);
}

/// Takes the place of a static member, and says what becomes of the one that took it within a few seconds.
async fn take_the_place_of(group: &str, topic: &str) -> Option<RDKafkaErrorCode> {
    let (group, topic) = (group.to_owned(), topic.to_owned());
    let taken = tokio::task::spawn_blocking(move || {
        let other = same_instance(&group);
        other.subscribe(&[&topic]).unwrap();
        let until = Instant::now() + Duration::from_secs(8);
        while Instant::now() < until {
            if let Some(Err(KafkaError::MessageConsumptionFatal(code))) = other.poll(Duration::from_millis(50)) {
                return Some(code);
            }
        }
        None
    });
    taken.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_static_member_that_is_replaced_joins_anew_and_ends_when_it_happens_again() {
    let (db, topic, group, producer) = (database().await, topic(2).await, unique("g"), Producer::new());
    let mut named = config(&group);
    named.group_instance_id = Some(group.clone());
    let heard_topics = vec![Subscription::inbox(&topic)];
    let member = Member::start_as(&db.pool, named, heard_topics, Arc::new(Notebook::default()));
    producer.say(&topic, "k", "1").await;
    eventually("it is heard", SOON, async || heard(&db, &["k"]).await == ["1"]).await;
    let replaced = take_the_place_of(&group, &topic).await;
    assert_eq!(replaced, Some(RDKafkaErrorCode::FencedInstanceId), "the member takes its place back");
    producer.say(&topic, "k", "2").await;
    eventually("it is heard by the same member", SOON, async || heard(&db, &["k"]).await == ["1", "2"]).await;
    assert_eq!(take_the_place_of(&group, &topic).await, None, "the member gives way");
    let told = format!("{:#}", member.end().await.unwrap_err());
    assert!(told.contains(&format!("has the GROUP_INSTANCE_ID {group}")), "{told}");
}
