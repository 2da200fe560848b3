//! The events of the topics, set aside by range of orders, by product and by customer; read once, and then what has come since.

use std::collections::{BTreeMap, HashMap};

use anyhow::ensure;
use chrono::DateTime;
use rdkafka::{Offset, consumer::Consumer};
use service_kit::progress::Progress;
use tokio_util::sync::CancellationToken;

use super::ranges::Ranges;
use super::spill::{Spill, bucket_of};
use crate::cluster::{Cluster, Connection};
use crate::records::{self, OF_ORDERS, OF_PRESENT, Record};

/// Where events are read, in the order of their partitions. Everything here blocks.
pub(super) trait Topics: Send {
    /// Shows all that is there, and after that what has come since it was asked last.
    fn read(&mut self, show: &mut dyn FnMut(Record) -> anyhow::Result<()>) -> anyhow::Result<()>;

    /// How many events the next reading will show, about.
    fn waiting(&mut self) -> anyhow::Result<u64>;

    /// Whether topics still have all that was ever in them.
    fn are_whole(&self) -> bool;
}

pub(super) struct KafkaTopics {
    connection: Connection,
    places: Vec<(String, i32)>,
    /// Up to where each partition was read.
    next: HashMap<(String, i32), i64>,
    whole: bool,
}

impl KafkaTopics {
    pub fn connect(cluster: &Cluster) -> anyhow::Result<Self> {
        Self::of(cluster, &[&OF_ORDERS[..], &OF_PRESENT[..]].concat())
    }

    pub fn of(cluster: &Cluster, topics: &[&str]) -> anyhow::Result<Self> {
        let connection = cluster.connect("quadrille-audit")?;
        let places = records::places(&connection, topics)?;
        let next = connection.offsets(&places, Offset::Beginning)?;
        // a compacted topic lets go of what is not the newest
        let whole = next.iter().all(|((topic, _), first)| *first == 0 || OF_PRESENT.contains(&topic.as_str()));
        Ok(Self { connection, places, next, whole })
    }

    fn ends(&self) -> anyhow::Result<HashMap<(String, i32), i64>> {
        self.connection.offsets(&self.places, Offset::End)
    }
}

impl Topics for KafkaTopics {
    fn read(&mut self, show: &mut dyn FnMut(Record) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let ends = self.ends()?;
        if ends.iter().any(|(place, end)| self.next.get(place).is_some_and(|next| next < end)) {
            records::each_between(&self.connection, &self.next, ends.clone(), |message| show(Record::of(message)?))?;
            // or it would go on fetching
            self.connection.consumer.unassign()?;
        }
        for (place, end) in ends {
            let next = self.next.entry(place).or_default();
            *next = end.max(*next);
        }
        Ok(())
    }

    fn waiting(&mut self) -> anyhow::Result<u64> {
        let ends = self.ends()?;
        let waiting = ends.iter().filter_map(|(place, end)| Some(end - self.next.get(place)?));
        Ok(waiting.map(|waiting| waiting.max(0).unsigned_abs()).sum())
    }

    fn are_whole(&self) -> bool {
        self.whole
    }
}

/// What is kept of a record: its place, the time when it was sent, and its headers.
type Kept = (String, i32, i64, Option<i64>, String, String, String, u64);

/// The events that were read, in files.
pub(super) struct Events {
    topics: Box<dyn Topics>,
    /// By range.
    of_orders: Spill<Kept>,
    of_present: Spill<Kept>,
    pub present_buckets: usize,
    /// How many were kept.
    pub read: u64,
}

impl Events {
    pub fn of(topics: Box<dyn Topics>, present_buckets: usize) -> anyhow::Result<Self> {
        Ok(Self { topics, of_orders: Spill::new()?, of_present: Spill::new()?, present_buckets, read: 0 })
    }

    pub fn are_whole(&self) -> bool {
        self.topics.are_whole()
    }

    /// Reads what is there, or has come since; events of orders where there are ranges for them.
    pub fn catch_up(&mut self, ranges: Option<&Ranges>, shown: bool, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut progress = match shown {
            true => Some(Progress::new("events read from the topics", self.topics.waiting()?)),
            false => None,
        };
        let Self { topics, of_orders, of_present, present_buckets, read } = self;
        let mut seen = 0;
        topics.read(&mut |record| {
            ensure!(!stop.is_cancelled(), "told to stop");
            seen += 1;
            progress.iter_mut().for_each(|progress| progress.at(seen, ""));
            let spill = if OF_PRESENT.contains(&record.topic.as_str()) {
                Some((&mut *of_present, bucket_of(&record.key, *present_buckets)))
            } else {
                ranges.and_then(|ranges| ranges.place(&record.key)).map(|range| (&mut *of_orders, range))
            };
            let Some((spill, bucket)) = spill else { return Ok(()) };
            *read += 1;
            spill.add(bucket, &kept(record))
        })?;
        progress.into_iter().for_each(|progress| progress.end(seen));
        Ok(())
    }

    /// The events of a range of orders.
    pub fn of_range(&mut self, range: usize) -> anyhow::Result<Vec<Record>> {
        let mut records = Vec::new();
        self.of_orders.each(range, |kept| {
            records.push(record(kept));
            Ok(())
        })?;
        Ok(records)
    }

    /// Drops the events of a range that is done.
    pub fn forget(&mut self, range: usize) -> anyhow::Result<()> {
        self.of_orders.forget(range)
    }

    /// Sets the events of the tail aside by new ranges.
    pub fn move_tail(&mut self, tail: usize, ranges: &Ranges) -> anyhow::Result<()> {
        let mut moved = Spill::new()?;
        self.of_orders.each(tail, |kept: Kept| match ranges.place(&kept.4) {
            Some(range) => moved.add(range, &kept),
            None => Ok(()),
        })?;
        self.of_orders = moved;
        Ok(())
    }

    /// The newest event of each product and customer in a bucket.
    pub fn newest_of_present(&mut self, bucket: usize) -> anyhow::Result<Vec<Record>> {
        let mut newest = BTreeMap::<(String, String), Record>::new();
        self.of_present.each(bucket, |kept| {
            let record = record(kept);
            let place = (record.topic.clone(), record.key.clone());
            if newest.get(&place).is_none_or(|known| known.sequence < record.sequence) {
                newest.insert(place, record);
            }
            Ok(())
        })?;
        Ok(newest.into_values().collect())
    }
}

fn kept(record: Record) -> Kept {
    let Record { topic, partition, offset, sent_at, key, id, event_type, sequence, made_at, .. } = record;
    let at = sent_at.or(made_at).map(|at| at.timestamp_millis());
    (topic, partition, offset, at, key, id, event_type, sequence)
}

fn record((topic, partition, offset, at, key, id, event_type, sequence): Kept) -> Record {
    let sent_at = at.and_then(DateTime::from_timestamp_millis);
    let (source, made_at, caused_by) = (String::new(), None, None);
    Record { topic, partition, offset, sent_at, key, id, event_type, sequence, source, made_at, caused_by }
}
