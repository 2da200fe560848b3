//! How far the inbox reaches, as a real broker tells how long topics are kept.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::kafka::{SOON, client};
use common::{Copies, Notebook, count, database};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use service_kit::config::KafkaConfig;
use service_kit::consumer::reach::kept_by_topics;
use service_kit::consumer::{Consumer, ConsumerConfig, Subscription};
use service_kit::kafka::Brokers;
use service_kit::testing::{eventually, kafka_bootstrap, unique};
use tokio_util::sync::CancellationToken;

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
    assert_eq!(kept(&[&short]).await, Some(4 * DAY));
    assert_eq!(kept(&[&short, &long]).await, Some(12 * DAY));
    assert_eq!(kept(&[&short, &unique("missing")]).await, None, "it can't be told");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_consumers_inbox_reaches_a_day_further_than_its_topics_and_archives_are_kept() {
    for (archived, expected) in [(None, 5), (Some(20 * DAY), 21)] {
        let (db, topic, stop) = (database().await, topic_kept_for(3, 1).await, CancellationToken::new());
        let kafka = KafkaConfig { brokers: Brokers::from(kafka_bootstrap()), group_instance_id: None };
        let config = ConsumerConfig::new(unique("g"), &kafka).archived(archived);
        let heard = vec![Subscription::inbox(topic)];
        let consumer = Consumer::new(config, heard, db.pool.clone(), Arc::new(Notebook::default()), Copies);
        let running = tokio::spawn(consumer.run(stop.clone()));
        let known = format!("inbox_state where reach = make_interval(secs => {})", expected * DAY.as_secs());
        eventually("it is known", SOON, async || count(&db, &known).await == 1).await;
        stop.cancel();
        running.await.unwrap().unwrap();
    }
}
