//! How far the inbox reaches, as a real broker tells how long topics are kept.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::kafka::{Member, Producer, SOON, client};
use common::{Copies, Notebook, database, heard};
use diesel::sql_query;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use service_kit::config::KafkaConfig;
use service_kit::consumer::reach::{Kept, kept_by_topics};
use service_kit::consumer::{Consumer, ConsumerConfig, Subscription};
use service_kit::kafka::Brokers;
use service_kit::testing::{Running, TestDb, eventually, kafka_bootstrap, unique};
use uuid::{NoContext, Timestamp, Uuid};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn topic_kept_for(days: u64, segment_days: u64) -> String {
    let name = unique("kept");
    let millis = |days: u64| (days * 24 * 60 * 60 * 1000).to_string();
    let (retention, segment) = (millis(days), millis(segment_days));
    let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
    let new = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
    let new = new.set("retention.ms", &retention).set("segment.ms", &segment);
    for made in admin.create_topics([&new], &AdminOptions::new()).await.unwrap() {
        made.unwrap();
    }
    name
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_topic_keeps_an_event_until_its_segment_goes_and_the_longest_counts() {
    let brokers = Brokers::from(kafka_bootstrap());
    let (short, long) = (topic_kept_for(3, 1).await, topic_kept_for(10, 2).await);
    let kept = async |topics: &[&String]| {
        let topics: Vec<_> = topics.iter().map(|topic| (*topic).clone()).collect();
        kept_by_topics(&brokers, &topics).await.unwrap()
    };
    let told = |days: u32| Kept { longest: Some(days * DAY), untold: Vec::new() };
    assert_eq!(kept(&[&short]).await, told(4));
    assert_eq!(kept(&[&short, &long]).await, told(12));
    let missing = unique("missing");
    assert_eq!(kept(&[&short, &missing]).await, Kept { untold: vec![missing], ..told(4) });
}

async fn reaches_days(db: &TestDb, days: u32) -> bool {
    db.count(&format!("inbox_state where reach = make_interval(secs => {})", (days * DAY).as_secs())).await == 1
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_an_inbox_forgets_nothing_while_the_brokers_do_not_tell_of_each_topic() {
    let (db, group, producer) = (database().await, unique("g"), Producer::new());
    let (long, short, missing) = (topic_kept_for(90, 1).await, topic_kept_for(3, 1).await, unique("missing"));
    let member = Member::start(&db.pool, &group, vec![Subscription::inbox(&long)], Arc::<Notebook>::default());
    eventually("it is known", SOON, async || reaches_days(&db, 92).await).await;
    member.stop().await;
    let partitions = async || db.count("pg_inherits where inhparent = 'inbox'::regclass").await;
    let before = partitions().await;

    let heard_now = [&short, &missing].map(Subscription::inbox).to_vec();
    let member = Member::start(&db.pool, &group, heard_now, Arc::<Notebook>::default());
    producer.say(&short, "k", "heard").await;
    // which is after the inbox was looked after
    eventually("it is heard", SOON, async || heard(&db, &["k"]).await == ["heard"]).await;
    assert_eq!((reaches_days(&db, 92).await, partitions().await), (true, before));
    member.stop().await;

    // what they do tell counts
    let longer = topic_kept_for(200, 1).await;
    let heard_now = [&longer, &missing].map(Subscription::inbox).to_vec();
    let member = Member::start(&db.pool, &group, heard_now, Arc::<Notebook>::default());
    eventually("it reaches further", SOON, async || reaches_days(&db, 202).await).await;
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_new_service_buries_nothing_of_an_old_topic_before_it_knows_how_far_its_inbox_reaches() {
    let (db, topic, producer) = (database().await, topic_kept_for(90, 1).await, Producer::new());
    let then = SystemTime::now() - 60 * DAY;
    let since = then.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let id = Uuid::new_v7(Timestamp::from_unix(NoContext, since.as_secs(), 0));
    producer.send(&topic, "k", "old", id).await;

    // whoever looks after the inbox waits here, fails, and tries again
    let mut holder = db.conn().await;
    sql_query("select pg_advisory_lock(hashtext('inbox_upkeep'))").execute(&mut holder).await.unwrap();
    let waits = async || -> Option<String> {
        let waiting = "select query_start::text from pg_stat_activity where datname = current_database()
            and wait_event = 'advisory' and query like '%inbox_upkeep%'";
        db.rows(waiting).await.into_iter().next()
    };
    let member = Member::start(&db.pool, &unique("g"), vec![Subscription::inbox(&topic)], Arc::<Notebook>::default());
    eventually("it waits", SOON, async || waits().await.is_some()).await;
    let first = waits().await;
    eventually("it tries again", SOON, async || waits().await.is_some_and(|again| Some(again) != first)).await;
    assert_eq!(db.count("dead_letters").await, 0);
    drop(holder.batch_execute("select pg_advisory_unlock_all()").await);

    eventually("it is heard", SOON, async || heard(&db, &["k"]).await == ["old"]).await;
    assert_eq!((db.count("dead_letters").await, reaches_days(&db, 92).await), (0, true));
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_consumers_inbox_reaches_a_day_further_than_its_topics_and_archives_are_kept() {
    for (archived, expected) in [(None, 5), (Some(20 * DAY), 21)] {
        let (db, topic) = (database().await, topic_kept_for(3, 1).await);
        let kafka = KafkaConfig { brokers: Brokers::from(kafka_bootstrap()), group_instance_id: None };
        let config = ConsumerConfig::new(unique("g"), &kafka).archived(archived);
        let heard = vec![Subscription::inbox(topic)];
        let consumer = Consumer::new(config, heard, db.pool.clone(), Arc::new(Notebook::default()), Copies);
        let running = Running::start(|stop| consumer.run(stop));
        let known = format!("inbox_state where reach = make_interval(secs => {})", expected * DAY.as_secs());
        eventually("it is known", SOON, async || db.count(&known).await == 1).await;
        running.end().await.unwrap();
    }
}
