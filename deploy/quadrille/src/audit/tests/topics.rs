//! Topics of a real broker, read once and then what has come since.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use service_kit::kafka::Brokers;
use service_kit::testing::{kafka_bootstrap, unique};

use crate::audit::topics::{KafkaTopics, Topics};
use crate::cluster::Cluster;

const PATIENCE: Duration = Duration::from_secs(30);

async fn say(client: &ClientConfig, topic: &str, sequences: std::ops::Range<usize>) {
    let producer: FutureProducer = client.create().unwrap();
    for sequence in sequences {
        let sequence = sequence.to_string();
        let header = |key, value| Header { key, value: Some(value) };
        let headers = OwnedHeaders::new()
            .insert(header("ce_specversion", "1.0"))
            .insert(header("ce_id", &*sequence))
            .insert(header("ce_type", "order.placed.v1"))
            .insert(header("ce_sequence", &*sequence));
        let key = format!("key-{sequence}");
        let record = FutureRecord::to(topic).key(&key).payload("{}").headers(headers);
        producer.send(record, PATIENCE).await.unwrap();
    }
}

/// The sequences of what a reading shows, and how many it said would come.
async fn read(mut topics: KafkaTopics) -> (KafkaTopics, u64, Vec<u64>) {
    tokio::task::spawn_blocking(move || {
        let (waiting, mut read) = (topics.waiting().unwrap(), vec![]);
        topics
            .read(&mut |record| {
                read.push(record.sequence);
                Ok(())
            })
            .unwrap();
        read.sort_unstable();
        (topics, waiting, read)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reading_shows_what_has_come_since_the_one_before() {
    let (bootstrap, topic) = (kafka_bootstrap(), unique("audit"));
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &bootstrap);
    let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
    let made = [NewTopic::new(&topic, 3, TopicReplication::Fixed(1))];
    admin.create_topics(&made, &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    say(&client, &topic, 1..8).await;

    let (cluster, name) = (Cluster(Brokers::from(bootstrap)), topic.clone());
    let topics = tokio::task::spawn_blocking(move || KafkaTopics::of(&cluster, &[&name])).await.unwrap().unwrap();
    let (topics, waiting, found) = read(topics).await;
    assert_eq!((waiting, found), (7, (1..8).collect()));
    let (topics, waiting, found) = read(topics).await;
    assert_eq!((waiting, found), (0, vec![]));
    say(&client, &topic, 8..11).await;
    let (topics, waiting, found) = read(topics).await;
    assert_eq!((waiting, found), (3, vec![8, 9, 10]));
    assert!(topics.are_whole());
}
