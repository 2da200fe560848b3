//! Apache Kafka is killed with -9 in the middle of its work and started again on the same data.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail like tests")]
use std::{path::Path, time::Duration};

use nix::sys::signal::Signal;
use quadrille_servers::{Durability, Kafka, kafka};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message};

const PATIENCE: Duration = Duration::from_secs(20);

fn kafka_in(folder: &Path) -> kafka::Options {
    kafka::Options { folder: folder.join("kafka"), port: None, durability: Durability::Tests, jars: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_kafka_keeps_topics_and_events_over_a_kill_and_serves_them_again() {
    let folder = tempfile::tempdir().unwrap();
    let options = kafka_in(folder.path());
    let mut node = Kafka::start(&options).await.unwrap();
    make_topic(&node.bootstrap()).await;
    publish(&node.bootstrap()).await;
    node.identity().signal(Signal::SIGKILL);
    node.wait().await.unwrap();

    let again = Kafka::start(&options).await.unwrap();
    let bootstrap = again.bootstrap();
    let heard = tokio::task::spawn_blocking(move || first_payload(&bootstrap)).await.unwrap();
    assert_eq!(heard, b"still here");
    again.stop(PATIENCE).await.unwrap();
}

async fn make_topic(bootstrap: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let topic = NewTopic::new("kept.v1", 3, TopicReplication::Fixed(1)).set("retention.ms", "-1");
    let within = AdminOptions::new().operation_timeout(Some(PATIENCE));
    admin.create_topics([&topic], &within).await.unwrap().remove(0).unwrap();
}

async fn publish(bootstrap: &str) {
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let record = FutureRecord::to("kept.v1").key("k").payload("still here");
    producer.send(record, PATIENCE).await.unwrap();
}

fn first_payload(bootstrap: &str) -> Vec<u8> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "kill-and-start-again")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&["kept.v1"]).unwrap();
    let until = std::time::Instant::now() + PATIENCE;
    while std::time::Instant::now() < until {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) {
            return message.payload().unwrap().to_vec();
        }
    }
    panic!("nothing was heard within {PATIENCE:?}");
}
