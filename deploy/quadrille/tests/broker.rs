//! The embedded broker, as librdkafka sees it.
#![cfg(feature = "embedded-broker")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::time::{Duration, Instant};

use quadrille_servers::{Broker, broker};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

const SOON: Duration = Duration::from_secs(30);
const TOPIC: &str = "t";

struct Fixture {
    broker: Broker,
    _folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = env!("CARGO_BIN_EXE_quadrille").into();
        let options = broker::Options { program, log: folder.path().join("broker.log"), port: None };
        let fixture = Self { broker: Broker::start(&options).await.unwrap(), _folder: folder };
        fixture.make_topic().await;
        fixture
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", self.broker.bootstrap()).set("group.id", "test");
        client
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }

    async fn make_topic(&self) {
        let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
        self.admin().create_topics([&topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    }

    /// Sends values of `bytes` bytes that begin with their number, as one batch.
    fn send_batch(&self, numbers: std::ops::Range<usize>, bytes: usize) {
        let mut client = self.client();
        client.set("linger.ms", "500").set("batch.num.messages", numbers.len().to_string());
        let producer: BaseProducer = client.create().unwrap();
        for number in numbers {
            let value = format!("{number:-<bytes$}");
            producer
                .send(BaseRecord::<(), str>::to(TOPIC).partition(0).payload(&value))
                .map_err(|(error, _)| error)
                .unwrap();
        }
        producer.flush(SOON).unwrap();
    }

    /// Reads that many records from an offset on: what they say they are, and their offsets.
    fn read(&self, from: i64, count: usize) -> Vec<(usize, i64)> {
        let mut client = self.client();
        // an answer holds a part of what there is, and the broker has to put several reads of its store together for it
        client.set("message.max.bytes", "4000").set("fetch.max.bytes", "4000").set("max.partition.fetch.bytes", "4000");
        let consumer: BaseConsumer = client.create().unwrap();
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(TOPIC, 0, Offset::Offset(from)).unwrap();
        consumer.assign(&place).unwrap();
        let (mut read, until) = (Vec::new(), Instant::now() + SOON);
        while read.len() < count && Instant::now() < until {
            let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
            let message = message.unwrap();
            let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
            read.push((value.trim_end_matches('-').parse().unwrap(), message.offset()));
        }
        read
    }
}

fn in_order(numbers: std::ops::Range<usize>) -> Vec<(usize, i64)> {
    numbers.map(|number| (number, i64::try_from(number).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_middle_of_a_batch_every_record_comes_and_none_of_the_batches_after_it_is_left_out() {
    let fixture = Fixture::new().await;
    fixture.send_batch(0..10, 10);
    // in batches that are smaller than what is left out of the first
    for first in (10..410).step_by(2) {
        fixture.send_batch(first..first + 2, 10);
    }
    for from in [0, 1, 5, 9, 10, 11, 37] {
        assert_eq!(
            fixture.read(from, 410 - usize::try_from(from).unwrap()),
            in_order(usize::try_from(from).unwrap()..410)
        );
    }
    fixture.broker.stop(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_waits_is_answered_as_soon_as_something_is_produced() {
    let fixture = Fixture::new().await;
    fixture.send_batch(0..1, 10);
    let mut client = fixture.client();
    // so long it would wait for nothing
    client.set("fetch.wait.max.ms", "300000").set("socket.timeout.ms", "300000");
    let consumer: BaseConsumer = client.create().unwrap();
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    consumer.assign(&place).unwrap();
    // the first is there when it is asked for; the others come while the client waits for them
    for number in 0..5 {
        let message = consumer.poll(SOON).unwrap().unwrap();
        assert_eq!(message.offset(), number);
        let next = usize::try_from(number).unwrap() + 1;
        fixture.send_batch(next..next + 1, 10);
    }
    fixture.broker.stop(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_partition_is_after_its_last_record() {
    let fixture = Fixture::new().await;
    fixture.send_batch(0..3, 10);
    fixture.send_batch(3..10, 10);
    let consumer: BaseConsumer = fixture.client().create().unwrap();
    assert_eq!(consumer.fetch_watermarks(TOPIC, 0, SOON).unwrap(), (0, 10));
    fixture.broker.stop(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_deleted_and_made_anew_has_batches_of_its_own() {
    let fixture = Fixture::new().await;
    fixture.send_batch(0..10, 10);
    fixture.admin().delete_topics(&[TOPIC], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    fixture.make_topic().await;
    for first in 0..10 {
        fixture.send_batch(first..first + 1, 10);
    }
    assert_eq!(fixture.read(5, 5), in_order(5..10));
    fixture.broker.stop(SOON).await.unwrap();
}
