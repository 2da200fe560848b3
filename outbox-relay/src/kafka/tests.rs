//! What is not sent yet when the producer is withdrawn.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use service_kit::testing::{kafka_bootstrap, unique};

use super::*;
use crate::headers::Headers;

const SOON: Duration = Duration::from_secs(20);

async fn new_topic() -> String {
    let name = unique("withdrawn");
    let admin: AdminClient<_> = ClientConfig::new().set("bootstrap.servers", kafka_bootstrap()).create().unwrap();
    let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
    admin.create_topics([&topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    name
}

/// Withdraws a producer that keeps a row back for three seconds. Returns how many rows are in the topic then, and the report.
async fn withdrawn(doubted: bool) -> (i64, Report) {
    let topic = new_topic().await;
    let brokers = Brokers::from(kafka_bootstrap());
    let mut publisher = KafkaPublisher::new(&brokers, 100, 1 << 20).with("linger.ms", "3000");
    let row = OutboxRow {
        id: 1,
        topic: topic.clone(),
        key: "a".to_owned(),
        headers: Headers::default(),
        payload: b"x".to_vec(),
    };
    publisher.publish(&[row]);
    publisher.running.as_ref().unwrap().doubted.store(doubted, Ordering::Release);
    let mut reports = Vec::new();
    publisher.withdraw(SOON, &mut reports).await;
    let end = tokio::task::spawn_blocking(move || {
        let asked: BaseConsumer = ClientConfig::new().set("bootstrap.servers", kafka_bootstrap()).create().unwrap();
        asked.fetch_watermarks(&topic, 0, SOON).unwrap().1
    });
    (end.await.unwrap(), reports.remove(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_behind_a_row_that_is_doubted_does_not_go_out_before_it_and_all_else_does() {
    let (sent, report) = withdrawn(true).await;
    assert!(sent == 0 && report.outcome.is_err());
    let (sent, report) = withdrawn(false).await;
    assert!(sent == 1 && report.outcome.is_ok());
}
