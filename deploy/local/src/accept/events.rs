//! What is in the topics, read by a Kafka client of our own that knows nothing of the services' code.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::{BorrowedMessage, Headers},
};

use crate::api::PATIENCE;

const TOPICS: [&str; 5] = ["orders.v1", "stock.v1", "payments.v1", "shipments.v1", "notifications.v1"];
const METADATA_WITHIN: Duration = Duration::from_secs(10);

/// An event as its headers tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub topic: String,
    pub event_type: String,
    pub sequence: u64,
}

/// Reads the topics from their beginning until every wanted type was seen on its topic for the key; returns all events of that key.
/// Checks on the way that a key's events on a topic are numbered 1, 2, 3.
pub(super) async fn of_key(bootstrap: &str, key: &str, wanted: &[(&str, &str)]) -> anyhow::Result<Vec<Seen>> {
    let (bootstrap, key) = (bootstrap.to_owned(), key.to_owned());
    let wanted: Vec<_> = wanted.iter().map(|(topic, name)| ((*topic).to_owned(), (*name).to_owned())).collect();
    tokio::task::spawn_blocking(move || read(&bootstrap, &key, &wanted)).await?
}

fn read(bootstrap: &str, key: &str, wanted: &[(String, String)]) -> anyhow::Result<Vec<Seen>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "quadrille-accept")
        .set("enable.auto.commit", "false")
        .create()?;
    let metadata = consumer.fetch_metadata(None, METADATA_WITHIN)?;
    let mut partitions = TopicPartitionList::new();
    for topic in metadata.topics().iter().filter(|topic| TOPICS.contains(&topic.name())) {
        for partition in topic.partitions() {
            partitions.add_partition_offset(topic.name(), partition.id(), Offset::Beginning)?;
        }
    }
    consumer.assign(&partitions)?;
    let (mut seen, mut counts, until) = (Vec::new(), BTreeMap::new(), Instant::now() + PATIENCE);
    loop {
        let is_missing = |(topic, name): &&(String, String)| {
            !seen.iter().any(|event: &Seen| event.topic == *topic && event.event_type == *name)
        };
        let missing: Vec<_> = wanted.iter().filter(is_missing).collect();
        if missing.is_empty() {
            return Ok(seen);
        }
        if Instant::now() >= until {
            bail!("not in their topics after {PATIENCE:?}: {missing:?}");
        }
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message?;
        if message.key() == Some(key.as_bytes()) {
            let event = seen_in(&message)?;
            let count: &mut u64 = counts.entry(event.topic.clone()).or_default();
            // a repeat of an earlier event is allowed (at least once), a gap never
            if event.sequence > *count + 1 {
                bail!("{} on {} has sequence {} after {count}", event.event_type, event.topic, event.sequence);
            }
            if event.sequence == *count + 1 {
                *count += 1;
                seen.push(event);
            }
        }
    }
}

fn seen_in(message: &BorrowedMessage<'_>) -> anyhow::Result<Seen> {
    let header = |name: &str| {
        let headers = message.headers()?;
        let found = headers.iter().find(|header| header.key == name)?;
        String::from_utf8(found.value?.to_vec()).ok()
    };
    if header("ce_specversion").as_deref() != Some("1.0") || header("ce_id").is_none() {
        bail!("a message on {} is no CloudEvent", message.topic());
    }
    Ok(Seen {
        topic: message.topic().to_owned(),
        event_type: header("ce_type").context("no ce_type")?,
        sequence: header("ce_sequence").context("no ce_sequence")?.parse()?,
    })
}
