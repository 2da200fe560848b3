//! What other services send.

use std::time::Duration;

use futures_util::future::try_join_all;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use service_kit::consumer::Record;
use service_kit::testing::kafka_bootstrap;
use shared_events::Topic;

const PATIENCE: Duration = Duration::from_secs(60);

pub async fn make_topics() {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka_bootstrap()).create().unwrap();
    let topics: Vec<NewTopic> =
        Topic::ALL.iter().map(|topic| NewTopic::new(topic.name(), 2, TopicReplication::Fixed(1))).collect();
    // Those that are there already are refused one by one, which is no failure here.
    let _each = admin.create_topics(&topics, &AdminOptions::new()).await.unwrap();
}

/// Sends them all, in order.
pub async fn send(records: impl IntoIterator<Item = Record>) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka_bootstrap())
        .set("partitioner", "murmur2_random")
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    let sent = records.into_iter().map(|record| {
        let headers = record
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        let (topic, value) = (record.place.topic.as_str(), record.value.as_deref().unwrap());
        let message = FutureRecord::to(topic).key(&record.key).payload(value).headers(headers);
        producer.send_result(message).map_err(|(error, _)| error).unwrap()
    });
    let acknowledged = tokio::time::timeout(PATIENCE, try_join_all(sent.collect::<Vec<_>>())).await.unwrap().unwrap();
    for each in acknowledged {
        each.unwrap();
    }
}
