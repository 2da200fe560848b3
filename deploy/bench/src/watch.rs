//! Reads the shop's topics as they grow: when each order was confirmed and captured, and whether every key's events came
//! once and in order.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::stage::{PARTITIONS, until};

#[derive(Debug, Default)]
pub struct Seen {
    records: usize,
    /// By event type and key, when it came.
    events: HashMap<String, HashMap<String, Instant>>,
    /// The last sequence by topic and key.
    sequences: HashMap<(String, String), u64>,
    /// Events that came twice, not at all, or out of order.
    faults: Vec<String>,
}

impl Seen {
    fn note(&mut self, message: &BorrowedMessage<'_>) {
        let at = Instant::now();
        self.records += 1;
        let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
        let header = |name: &str| -> Option<String> {
            let header = message.headers()?.iter().find(|header| header.key == name)?;
            Some(String::from_utf8_lossy(header.value?).into_owned())
        };
        // Debezium's router hands on one header, in which all are
        let within = || -> Option<String> {
            let pairs: Vec<(String, String)> = serde_json::from_str(&header("headers")?).ok()?;
            pairs.into_iter().find(|(name, _)| name == "ce_sequence").map(|(_, value)| value)
        };
        let sequence = header("ce_sequence").or_else(within).and_then(|sequence| sequence.parse().ok()).unwrap_or(0);
        let last = self.sequences.insert((message.topic().to_owned(), key.clone()), sequence).unwrap_or(0);
        if sequence != last + 1 && self.faults.len() < 20 {
            self.faults.push(format!("{} of {key}: sequence {sequence} came after {last}", message.topic()));
        }
        if let Some(kind) = header("ce_type") {
            self.events.entry(kind).or_default().entry(key).or_insert(at);
        }
    }
}

/// Reads until it is dropped.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    reading: Option<JoinHandle<()>>,
}

impl Watch {
    /// Reads these topics from their beginning.
    pub fn start(bootstrap: &str, topics: &[&str]) -> anyhow::Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "quadrille-bench")
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "500")
            .create()?;
        let mut partitions = TopicPartitionList::new();
        for topic in topics {
            for partition in 0..PARTITIONS {
                partitions.add_partition_offset(topic, partition, Offset::Beginning)?;
            }
        }
        consumer.assign(&partitions)?;
        let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let (into, until) = (Arc::clone(&seen), Arc::clone(&stop));
        let reading = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                    into.lock().unwrap_or_else(PoisonError::into_inner).note(&message);
                }
            }
        });
        Ok(Self { seen, stop, reading: Some(reading) })
    }

    fn look<T>(&self, at: impl FnOnce(&Seen) -> T) -> T {
        at(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many keys have had an event of this type.
    pub fn count(&self, kind: &str) -> usize {
        self.look(|seen| seen.events.get(kind).map_or(0, HashMap::len))
    }

    /// When this key's event of this type came.
    pub fn at(&self, kind: &str, key: &str) -> Option<Instant> {
        self.look(|seen| seen.events.get(kind)?.get(key).copied())
    }

    /// Waits until so many keys have had an event of this type.
    pub async fn wait_for(&self, kind: &str, keys: usize, patience: Duration) -> anyhow::Result<()> {
        let waited =
            until(&format!("{keys} keys have had {kind}"), patience, async || Ok(self.count(kind) >= keys)).await;
        waited.with_context(|| format!("{} have had it", self.count(kind)))
    }

    pub fn records(&self) -> usize {
        self.look(|seen| seen.records)
    }

    /// How many keys there are, over all topics.
    pub fn keys(&self) -> usize {
        self.look(|seen| seen.sequences.len())
    }

    pub fn faults(&self) -> Vec<String> {
        self.look(|seen| seen.faults.clone())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.reading.take().map(JoinHandle::join);
    }
}
