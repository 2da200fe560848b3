//! What other services send, and what a service has published, on a real broker.

use std::time::Duration;

use futures_util::future::try_join_all;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::{Header, Headers, Message as _, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use service_kit::consumer::Record;
use service_kit::testing::{kafka_bootstrap, unique};
use shared_events::{Topic, header};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka_bootstrap());
    config
}

async fn create(topics: &[NewTopic<'_>]) -> Vec<Result<String, (String, rdkafka::types::RDKafkaErrorCode)>> {
    let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
    admin.create_topics(topics, &AdminOptions::new()).await.unwrap()
}

/// Makes the shop's topics, unless they are there.
pub async fn make_topics() {
    let new = |topic: &Topic| NewTopic::new(topic.name(), 2, TopicReplication::Fixed(1));
    // Those that are there already are refused one by one, which is no failure here.
    let _each = create(&Topic::ALL.iter().map(new).collect::<Vec<_>>()).await;
}

/// Makes a topic that no other test has.
pub async fn topic(stem: &str, partitions: i32) -> String {
    let name = unique(stem);
    for made in create(&[NewTopic::new(&name, partitions, TopicReplication::Fixed(1))]).await {
        made.unwrap();
    }
    name
}

/// Sends them all, in order, to the partitions that the relay would choose.
pub async fn send(records: impl IntoIterator<Item = Record>) {
    let mut config = client();
    let producer: FutureProducer =
        config.set("partitioner", "murmur2_random").set("enable.idempotence", "true").create().unwrap();
    let sent = records.into_iter().map(|record| {
        let headers = record
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        let (topic, value) = (record.place.topic.as_str(), record.value.as_deref().unwrap());
        let message = FutureRecord::to(topic).key(&record.key).payload(value).headers(headers);
        producer.send_result(message).map_err(|(error, _)| error).unwrap()
    });
    for each in timeout(PATIENCE, try_join_all(sent.collect::<Vec<_>>())).await.unwrap().unwrap() {
        each.unwrap();
    }
}

/// Reads a topic from its beginning, independently of the service, until it has this event of the key.
pub async fn until_published(topic: Topic, key: &str, event_type: &str) {
    let mut config = client();
    let consumer: StreamConsumer =
        config.set("group.id", unique("reader")).set("auto.offset.reset", "earliest").create().unwrap();
    consumer.subscribe(&[topic.name()]).unwrap();
    let is_type = |header: Header<'_, &[u8]>| header.key == header::TYPE && header.value == Some(event_type.as_bytes());
    let read = async {
        loop {
            let message = consumer.recv().await.unwrap();
            if message.key() == Some(key.as_bytes()) && message.headers().unwrap().iter().any(is_type) {
                return;
            }
        }
    };
    timeout(PATIENCE, read).await.unwrap();
}
