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

/// Those that are keyed by order.
pub(super) const TOPICS: [&str; 5] = ["orders.v1", "stock.v1", "payments.v1", "shipments.v1", "notifications.v1"];
const METADATA_WITHIN: Duration = Duration::from_secs(10);

/// An event as its headers tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub topic: String,
    pub key: String,
    pub id: String,
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
    let consumer = from_the_beginning(bootstrap, &TOPICS)?;
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

/// Everything that these topics hold, each key's events in the order of their topic.
pub(super) async fn all(bootstrap: &str, topics: &[&'static str]) -> anyhow::Result<Vec<Seen>> {
    let (bootstrap, topics) = (bootstrap.to_owned(), topics.to_vec());
    tokio::task::spawn_blocking(move || read_all(&bootstrap, &topics)).await?
}

fn read_all(bootstrap: &str, topics: &[&str]) -> anyhow::Result<Vec<Seen>> {
    let consumer = from_the_beginning(bootstrap, topics)?;
    let mut open = BTreeMap::new();
    for place in consumer.assignment()?.elements() {
        let (first, next) = consumer.fetch_watermarks(place.topic(), place.partition(), METADATA_WITHIN)?;
        if first < next {
            open.insert((place.topic().to_owned(), place.partition()), next);
        }
    }
    let (mut seen, until) = (Vec::new(), Instant::now() + PATIENCE);
    while !open.is_empty() {
        if Instant::now() >= until {
            bail!("not read to their ends after {PATIENCE:?}: {open:?}");
        }
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message?;
        let place = (message.topic().to_owned(), message.partition());
        let Some(next) = open.get(&place).copied() else { continue };
        seen.push(seen_in(&message)?);
        if message.offset() + 1 >= next {
            open.remove(&place);
        }
    }
    Ok(seen)
}

/// Each key's events on a topic are numbered 1, 2, 3, and what comes twice is what it was. Returns how many come twice.
pub(super) fn must_be_contiguous(events: &[Seen]) -> anyhow::Result<usize> {
    let (mut told, mut twice) = (BTreeMap::<_, Vec<&str>>::new(), 0);
    for Seen { topic, key, id, event_type, sequence } in events {
        let ids = told.entry((topic, key)).or_default();
        match usize::try_from(*sequence)?.checked_sub(1) {
            Some(next) if next == ids.len() => ids.push(id),
            Some(known) if ids.get(known) == Some(&id.as_str()) => twice += 1,
            _ => bail!("{event_type} {id} of {key} on {topic} has sequence {sequence} after {} others", ids.len()),
        }
    }
    Ok(twice)
}

fn from_the_beginning(bootstrap: &str, topics: &[&str]) -> anyhow::Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "quadrille-accept")
        .set("enable.auto.commit", "false")
        .create()?;
    let metadata = consumer.fetch_metadata(None, METADATA_WITHIN)?;
    let mut partitions = TopicPartitionList::new();
    for topic in metadata.topics().iter().filter(|topic| topics.contains(&topic.name())) {
        for partition in topic.partitions() {
            partitions.add_partition_offset(topic.name(), partition.id(), Offset::Beginning)?;
        }
    }
    consumer.assign(&partitions)?;
    Ok(consumer)
}

fn seen_in(message: &BorrowedMessage<'_>) -> anyhow::Result<Seen> {
    let header = |name: &str| {
        let headers = message.headers()?;
        let found = headers.iter().find(|header| header.key == name)?;
        String::from_utf8(found.value?.to_vec()).ok()
    };
    let id = header("ce_id").filter(|_| header("ce_specversion").as_deref() == Some("1.0"));
    let id = id.with_context(|| format!("a message on {} is no CloudEvent", message.topic()))?;
    Ok(Seen {
        topic: message.topic().to_owned(),
        key: String::from_utf8(message.key().unwrap_or_default().to_vec())?,
        id,
        event_type: header("ce_type").context("no ce_type")?,
        sequence: header("ce_sequence").context("no ce_sequence")?.parse()?,
    })
}
