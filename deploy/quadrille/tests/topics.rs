//! `quadrille topics` and `quadrille tail` on a real Kafka.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::process::{Command, Output};
use std::time::Duration;

use quadrille_servers::{Broker, Durability, Kafka, broker, kafka};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, TopicPartitionList};
use service_kit::testing::{kafka_bootstrap, unique};

const QUADRILLE: &str = env!("CARGO_BIN_EXE_quadrille");
const SOON: Duration = Duration::from_secs(20);

async fn quadrille(bootstrap: &str, arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quadrille"));
    command.args(arguments).env_clear().env("KAFKA_BOOTSTRAP_SERVERS", bootstrap);
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    (status.success(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", bootstrap).set("group.id", "test");
    client
}

fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    client(bootstrap).create().unwrap()
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(SOON))
}

async fn make(bootstrap: &str, topic: NewTopic<'_>) {
    admin(bootstrap).create_topics([&topic], &options()).await.unwrap().remove(0).unwrap();
}

/// Name and partition count of every topic.
fn topics(bootstrap: &str) -> Vec<(String, usize)> {
    let consumer: BaseConsumer = client(bootstrap).create().unwrap();
    let found = consumer.fetch_metadata(None, SOON).unwrap();
    let shown = found.topics().iter().filter(|topic| !topic.name().starts_with("__"));
    shown.map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_whole_or_not_at_all_and_those_that_are_there_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let options = broker::Options { program: QUADRILLE.into(), log: folder.path().join("broker.log"), port: None };
    let broker = Broker::start(&options).await.unwrap();
    whole_or_not_at_all(&broker.bootstrap()).await;
    broker.stop(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_topics_are_made_whole_or_not_at_all_and_those_that_are_there_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        kafka::Options { folder: folder.path().join("kafka"), port: None, durability: Durability::Tests, jars: None };
    let node = Kafka::start(&options).await.unwrap();
    whole_or_not_at_all(&node.bootstrap()).await;
    node.stop(SOON).await.unwrap();
}

async fn whole_or_not_at_all(bootstrap: &str) {
    make(bootstrap, NewTopic::new("payments.v1", 2, TopicReplication::Fixed(1))).await;
    let (done, _, said) = quadrille(bootstrap, &["topics", "create"]).await;
    assert!(!done && said.contains("topic payments.v1 has 2 partitions instead of 6"), "{said}");
    assert!(said.ends_with("nothing was created or altered\n") && said.lines().count() == 2, "{said}");
    assert_eq!(topics(bootstrap), [("payments.v1".to_owned(), 2)]);

    admin(bootstrap).delete_topics(&["payments.v1"], &options()).await.unwrap();
    let compacted = NewTopic::new("orders.v1", 6, TopicReplication::Fixed(1)).set("cleanup.policy", "compact");
    make(bootstrap, compacted).await;
    let (done, _, said) = quadrille(bootstrap, &["topics", "create", "--replication", "2"]).await;
    assert!(
        !done && said.contains("--replication 2 needs as many brokers, and there are 1: nothing was created"),
        "{said}"
    );
    let (done, told, said) = quadrille(bootstrap, &["topics", "create"]).await;
    assert!(done && told.contains("created payments.v1\n") && !told.contains("orders.v1"), "{told}{said}");
    assert!(said.contains("topic orders.v1 has cleanup.policy=compact instead of delete"), "{said}");
    assert!(topics(bootstrap).iter().all(|(_, partitions)| *partitions == 6));
    assert_eq!(topics(bootstrap).len(), quadrille::topics::all().len());

    let (done, told, _) = quadrille(bootstrap, &["topics", "create"]).await;
    assert!(done && told == format!("{} topics were there\n", quadrille::topics::all().len()), "{told}");
}

/// A topic of two partitions, with three records of `one` and one of `two`.
async fn told_of() -> String {
    let topic = unique("told");
    make(&kafka_bootstrap(), NewTopic::new(&topic, 2, TopicReplication::Fixed(1))).await;
    let producer: FutureProducer = client(&kafka_bootstrap()).create().unwrap();
    for (number, (key, partition)) in [("one", 0), ("two", 0), ("one", 1), ("one", 0)].into_iter().enumerate() {
        let kind = OwnedHeaders::new().insert(Header { key: "ce_type", value: Some("told.v1") });
        let value = format!("number {number}");
        let record = FutureRecord::to(&topic).key(key).payload(&value).partition(partition).headers(kind);
        producer.send(record, SOON).await.unwrap();
    }
    topic
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_and_how_far_each_group_is_behind_are_shown() {
    let (topic, group) = (told_of().await, unique("group"));
    let consumer: BaseConsumer = client(&kafka_bootstrap()).set("group.id", &group).create().unwrap();
    let mut read = TopicPartitionList::new();
    read.add_partition_offset(&topic, 0, rdkafka::Offset::Offset(1)).unwrap();
    consumer.commit(&read, CommitMode::Sync).unwrap();
    let (done, told, said) = quadrille(&kafka_bootstrap(), &["topics"]).await;
    assert!(done, "{said}");
    let words = |start: [&str; 2]| -> Vec<String> {
        let line = told.lines().find(|line| start.iter().all(|word| line.contains(word)));
        line.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(words([&topic, ".."]), [&topic, "2", "4", "0..3", "0..1"], "{told}");
    assert_eq!(words([&topic, &group]), [&group, "0", &topic, "3"], "{told}");
    let (_, told, _) = quadrille(&kafka_bootstrap(), &["topics", "--partitions"]).await;
    let line = told.lines().find(|line| line.contains(&group)).unwrap_or_default();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), [&group, &topic, "0", "1", "3", "2"], "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_shows_what_is_kept_of_a_key_in_order_of_time_and_ends() {
    let topic = told_of().await;
    let (done, told, said) = quadrille(&kafka_bootstrap(), &["tail", &topic, "--key", "one", "--to-end"]).await;
    assert!(done, "{said}");
    let values: Vec<_> = told.lines().filter(|line| line.starts_with("    number")).map(str::trim).collect();
    assert_eq!(values, ["number 0", "number 2", "number 3"], "{told}");
    assert!(told.contains("told.v1 key=one") && told.contains("    ce_type: told.v1\n"), "{told}");
    let (done, told, _) = quadrille(&kafka_bootstrap(), &["tail", &topic, "--to-end", "--type", "other"]).await;
    assert!(done && told.is_empty(), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_that_is_not_there_is_told_once_and_the_tools_end() {
    for arguments in [&["tail", "--to-end"][..], &["tail"], &["topics"]] {
        let (done, _, said) = quadrille("127.0.0.1:1", arguments).await;
        assert!(!done && said.contains("Kafka at 127.0.0.1:1 does not answer") && said.contains("refused"), "{said}");
        assert!(said.lines().count() <= 3, "{said}");
    }
}
