//! Events as they lie in their topics, read without the services' code.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use rdkafka::consumer::Consumer;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::cluster::{ANSWER, Connection};

/// The topics that are keyed by order.
pub const OF_ORDERS: [&str; 5] = ["orders.v1", "stock.v1", "payments.v1", "shipments.v1", "notifications.v1"];

/// Those that are compacted: the newest event of a key is how it is now. Keyed by SKU and by customer.
pub const OF_PRESENT: [&str; 2] = ["products.v1", "customers.v1"];

const POLL: Duration = Duration::from_millis(200);
/// An end may be a mark of a transaction, which nobody is given: silence after the brokers said that nothing follows is
/// an end too.
const QUIET: Duration = Duration::from_secs(2);
/// Brokers that say nothing for as long are given up.
const SILENCE: Duration = Duration::from_secs(30);

/// An event, its place and its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// When the relay handed it over.
    pub sent_at: Option<DateTime<Utc>>,
    pub key: String,
    pub id: String,
    pub event_type: String,
    pub sequence: u64,
    pub source: String,
    /// When its maker made it.
    pub made_at: Option<DateTime<Utc>>,
    pub caused_by: Option<String>,
}

impl Record {
    /// Fails if it is no CloudEvent of ours.
    pub fn of(message: &BorrowedMessage<'_>) -> anyhow::Result<Self> {
        let header = |name: &str| {
            let found = message.headers()?.iter().find(|header| header.key == name)?;
            String::from_utf8(found.value?.to_vec()).ok()
        };
        let place = || format!("{}[{}]@{}", message.topic(), message.partition(), message.offset());
        let id = header("ce_id").filter(|_| header("ce_specversion").as_deref() == Some("1.0"));
        let sequence = header("ce_sequence").with_context(|| format!("{} has no ce_sequence", place()))?;
        Ok(Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            sent_at: message.timestamp().to_millis().and_then(DateTime::from_timestamp_millis),
            key: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
            id: id.with_context(|| format!("{} is no CloudEvent", place()))?,
            event_type: header("ce_type").with_context(|| format!("{} has no ce_type", place()))?,
            sequence: sequence.parse().with_context(|| format!("{}: ce_sequence {sequence:?}", place()))?,
            source: header("ce_source").unwrap_or_default(),
            made_at: header("ce_time").and_then(|time| time.parse().ok()),
            caused_by: header("ce_causationid"),
        })
    }
}

/// The partitions of these topics that are there. Fails if no broker answers.
pub fn places(connection: &Connection, topics: &[&str]) -> anyhow::Result<Vec<(String, i32)>> {
    let metadata = connection.metadata(ANSWER)?;
    let meant = metadata.topics().iter().filter(|topic| topics.contains(&topic.name()));
    let places =
        meant.flat_map(|topic| topic.partitions().iter().map(|partition| (topic.name().to_owned(), partition.id())));
    Ok(places.collect())
}

/// Shows every record that is kept when it begins. Returns whether nothing of these partitions was ever let go. Fails
/// if the brokers fall silent, or with the error of `show`.
pub fn each_kept(
    connection: &Connection,
    places: &[(String, i32)],
    show: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let (first, ends) = (connection.offsets(places, Offset::Beginning)?, connection.offsets(places, Offset::End)?);
    each_between(connection, &first, ends, show)?;
    Ok(first.values().all(|first| *first == 0))
}

/// Shows the records of each partition from its offset in `first` up to, and without, that in `ends`. Fails if the
/// brokers fall silent, or with the error of `show`.
pub fn each_between(
    connection: &Connection,
    first: &HashMap<(String, i32), i64>,
    ends: HashMap<(String, i32), i64>,
    mut show: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut pending = ends;
    pending.retain(|place, end| first.get(place).is_some_and(|first| first < end));
    let mut from = TopicPartitionList::new();
    for place in pending.keys() {
        from.add_partition_offset(&place.0, place.1, Offset::Offset(first[place]))?;
    }
    connection.consumer.assign(&from)?;
    connection.ends();
    let (filled, mut ends, mut heard, mut trouble) = (pending.len(), 0, Instant::now(), None);
    while !pending.is_empty() {
        match connection.read(POLL)? {
            Some(Ok(message)) => {
                heard = Instant::now();
                if before_end(&mut pending, (message.topic(), message.partition()), message.offset()) {
                    show(&message)?;
                }
            }
            Some(Err(why)) => trouble = Some(why),
            None => {}
        }
        // those of partitions that are done already, too: so they are counted against all
        ends += connection.ends();
        if ends >= filled && heard.elapsed() > QUIET {
            break;
        }
        if heard.elapsed() > SILENCE {
            bail!("Kafka says nothing any more: {}", trouble.unwrap_or_else(|| "no record, and no end".to_owned()));
        }
    }
    Ok(())
}

/// Reads these partitions from there on.
pub fn assign(connection: &Connection, places: &[(String, i32)], from: Offset) -> anyhow::Result<()> {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in places {
        list.add_partition_offset(topic, *partition, from)?;
    }
    Ok(connection.consumer.assign(&list)?)
}

/// Whether the record was there at the beginning; strikes its partition off once it was the last.
fn before_end(pending: &mut HashMap<(String, i32), i64>, (topic, partition): (&str, i32), offset: i64) -> bool {
    let place = (topic.to_owned(), partition);
    let Some(end) = pending.get(&place).copied() else { return false };
    if offset + 1 >= end {
        pending.remove(&place);
    }
    offset < end
}
