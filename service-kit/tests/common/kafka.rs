//! Topics, a producer and members of a group, on a real broker.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use service_kit::Pool;
use service_kit::config::KafkaConfig;
use service_kit::consumer::{Consumer, ConsumerConfig, ConsumerHandle, Reactions, Subscription};
use service_kit::testing::{eventually, kafka_bootstrap, unique};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Copies, headers, numbered_headers};

pub const SOON: Duration = Duration::from_secs(20);

/// Makes a topic that no other test has.
pub async fn topic(partitions: i32) -> String {
    let name = unique("t");
    make_topic(&name, partitions).await;
    name
}

/// Makes a topic of this name.
pub async fn make_topic(name: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
    let new = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for made in admin.create_topics([&new], &AdminOptions::new()).await.unwrap() {
        made.unwrap();
    }
}

/// Gives a topic more partitions, and waits until the brokers tell of them.
pub async fn more_partitions(name: &str, all: usize) {
    let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
    for grown in admin.create_partitions([&NewPartitions::new(name, all)], &AdminOptions::new()).await.unwrap() {
        grown.unwrap();
    }
    let there = async || {
        let (asked, name) = (client().create::<BaseConsumer>().unwrap(), name.to_owned());
        let metadata = tokio::task::spawn_blocking(move || asked.fetch_metadata(Some(&name), SOON).unwrap());
        metadata.await.unwrap().topics().iter().all(|topic| topic.partitions().len() == all)
    };
    eventually("the partitions are there", SOON, there).await;
}

/// Deletes a topic.
pub async fn delete_topic(name: &str) {
    let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
    for deleted in admin.delete_topics(&[name], &AdminOptions::new()).await.unwrap() {
        deleted.unwrap();
    }
}

pub fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka_bootstrap());
    config
}

/// A producer that chooses partitions as the relay does.
pub struct Producer(FutureProducer);

impl Producer {
    pub fn new() -> Self {
        Self(client().set("partitioner", "murmur2_random").set("linger.ms", "0").create().unwrap())
    }

    /// Sends an event with an id of its own; returns the partition that it went to.
    pub async fn say(&self, topic: &str, key: &str, what: &str) -> i32 {
        self.send(topic, key, what, Uuid::now_v7()).await
    }

    pub async fn send(&self, topic: &str, key: &str, what: &str, id: Uuid) -> i32 {
        self.send_with(topic, key, what, &headers(id, "noted.v1")).await
    }

    /// Sends an event of this sequence.
    pub async fn send_numbered(&self, topic: &str, key: &str, sequence: i64) {
        let names = numbered_headers(Uuid::now_v7(), "noted.v1", sequence);
        self.send_with(topic, key, &sequence.to_string(), &names).await;
    }

    async fn send_with(&self, topic: &str, key: &str, what: &str, names: &[(String, String)]) -> i32 {
        let named = names
            .iter()
            .fold(OwnedHeaders::new(), |all, (name, value)| all.insert(Header { key: name, value: Some(value) }));
        let record = FutureRecord::to(topic).key(key).payload(what).headers(named);
        self.0.send(record, SOON).await.unwrap().partition
    }
}

/// How a member of `group` is set up.
pub fn config(group: &str) -> ConsumerConfig {
    ConsumerConfig::new(group, &KafkaConfig { brokers: kafka_bootstrap().into(), group_instance_id: None })
}

/// A running member of a group.
pub struct Member {
    pub handle: ConsumerHandle,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Member {
    pub fn start<R: Reactions>(pool: &Pool, group: &str, heard: Vec<Subscription>, reactions: Arc<R>) -> Self {
        Self::start_as(pool, config(group), heard, reactions)
    }

    pub fn start_as<R: Reactions>(
        pool: &Pool,
        config: ConsumerConfig,
        heard: Vec<Subscription>,
        reactions: Arc<R>,
    ) -> Self {
        let consumer = Consumer::new(config, heard, pool.clone(), reactions, Copies);
        let (handle, stop) = (consumer.handle(), CancellationToken::new());
        let task = tokio::spawn(consumer.run(stop.clone()));
        Self { handle, stop, task }
    }

    /// How it ends by itself.
    pub async fn end(self) -> anyhow::Result<()> {
        self.task.await.unwrap()
    }

    /// Tells it to stop, and waits until it has drained and left.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

/// A client that calls itself what a static member of `group` does, whose name is the group's.
pub fn same_instance(group: &str) -> BaseConsumer {
    let mut config = client();
    config.set("group.id", group).set("group.instance.id", group).set("session.timeout.ms", "6000");
    config.set("partition.assignment.strategy", "cooperative-sticky").create().unwrap()
}

/// What the group has committed for partition 0 of a topic.
pub async fn committed(group: &str, topic: &str) -> Option<i64> {
    let (group, topic) = (group.to_owned(), topic.to_owned());
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = client().set("group.id", &group).create().unwrap();
        let mut list = rdkafka::TopicPartitionList::new();
        list.add_partition(&topic, 0);
        let list = consumer.committed_offsets(list, SOON).unwrap();
        list.find_partition(&topic, 0).and_then(|found| found.offset().to_raw()).filter(|offset| *offset >= 0)
    })
    .await
    .unwrap()
}
