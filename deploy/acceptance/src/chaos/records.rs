//! Records that nobody can read, and records that come again.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(10);

/// What a topic's readers react to.
fn type_on(topic: &str) -> &'static str {
    match topic {
        "stock.v1" => "stock.reserved.v1",
        "payments.v1" => "payment.authorized.v1",
        "shipments.v1" => "shipment.created.v1",
        "notifications.v1" => "notification.sent.v1",
        _ => "order.placed.v1",
    }
}

/// The key of the record that [`poison`] sends: of an order that is not there.
pub(super) fn poisoned_key(draw: u64) -> String {
    Uuid::from_u64_pair(0x0198_0a10_7c00_7000, draw | 1 << 63).to_string()
}

/// Sends a record whose value is no event.
pub(super) async fn poison(bootstrap: &str, topic: &str, draw: u64) -> anyhow::Result<()> {
    let key = poisoned_key(draw);
    let id = Uuid::now_v7().to_string();
    let pairs = [
        ("ce_specversion", "1.0"),
        ("ce_id", &id),
        ("ce_source", "/chaos"),
        ("ce_type", type_on(topic)),
        ("ce_sequence", "00000000000000000001"),
        ("ce_time", "2026-07-14T09:30:00Z"),
        ("ce_subject", &key),
        ("content-type", "application/json"),
    ];
    let headers = pairs
        .iter()
        .fold(OwnedHeaders::new(), |all, (name, value)| all.insert(Header { key: name, value: Some(*value) }));
    let record = FutureRecord::to(topic).key(&key).payload(b"\xff{ no event".as_slice()).headers(headers);
    send(bootstrap, record).await
}

/// Sends a record of the topic again, as it was, to the same partition.
pub(super) async fn repeat(bootstrap: &str, topic: &'static str, draw: u64) -> anyhow::Result<()> {
    let from = bootstrap.to_owned();
    let known = tokio::task::spawn_blocking(move || any_of(&from, topic, draw)).await??;
    let headers = known.headers().into_iter().flat_map(Headers::iter).fold(OwnedHeaders::new(), OwnedHeaders::insert);
    let (key, value) = (known.key().unwrap_or_default(), known.payload().unwrap_or_default());
    let record = FutureRecord::to(topic).partition(known.partition()).key(key).payload(value).headers(headers);
    send(bootstrap, record).await
}

async fn send(
    bootstrap: &str,
    record: FutureRecord<'_, impl rdkafka::message::ToBytes + ?Sized, [u8]>,
) -> anyhow::Result<()> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", bootstrap).set("message.timeout.ms", "8000").set("partitioner", "murmur2_random");
    let producer: FutureProducer = client.create()?;
    producer.send(record, PATIENCE).await.map_err(|(error, _)| error).context("sending a record")?;
    Ok(())
}

fn any_of(bootstrap: &str, topic: &str, draw: u64) -> anyhow::Result<OwnedMessage> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", bootstrap).set("group.id", "quadrille-chaos").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = client.create()?;
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    ensure!(partitions > 0, "{topic} has no partition");
    let partition = i32::try_from(draw % u64::try_from(partitions)?)?;
    let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE)?;
    ensure!(high > low, "{topic} has nothing in partition {partition}");
    let offset = low + i64::try_from((draw >> 8) % u64::try_from(high - low)?)?;
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    consumer.assign(&place)?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(found) = consumer.poll(Duration::from_millis(200)) {
            return Ok(found?.detach());
        }
    }
    anyhow::bail!("{topic}[{partition}] gives nothing at {offset}")
}
