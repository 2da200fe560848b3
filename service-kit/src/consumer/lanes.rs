//! The lanes of the partitions that this member owns. Only the poll thread uses them, except for [`Lanes::handled`].

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaResult;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::poll::Context;
use super::queue::Queue;
use super::wake::Wake;
use super::{ConsumerConfig, Record};

/// A topic's partition.
pub(crate) type Partition = (String, i32);
/// Starts a lane's task.
pub(crate) type Start = Box<dyn Fn(Arc<Queue>, CancellationToken) -> JoinHandle<()> + Send + Sync>;

pub(crate) struct Lanes {
    start: Start,
    runtime: Handle,
    full_records: usize,
    full_bytes: usize,
    drain: Duration,
    /// Topics whose offsets are never committed: each member reads them from the beginning.
    uncommitted: BTreeSet<String>,
    wake: Wake,
    lanes: Mutex<HashMap<Partition, Lane>>,
}

struct Lane {
    queue: Arc<Queue>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    paused: bool,
    stored: Option<i64>,
    /// The topic was deleted and created anew, so offsets of the old one mean nothing in the new one.
    forgotten: bool,
    /// Whether its offset is committed to the brokers.
    committed: bool,
}

impl Lanes {
    pub fn new(config: &ConsumerConfig, uncommitted: BTreeSet<String>, runtime: Handle, start: Start) -> Self {
        Self {
            start,
            runtime,
            full_records: config.lane_records,
            full_bytes: config.lane_bytes,
            drain: config.drain,
            uncommitted,
            wake: Wake::default(),
            lanes: Mutex::default(),
        }
    }

    pub const fn wake(&self) -> &Wake {
        &self.wake
    }

    pub fn open(&self, partitions: &TopicPartitionList) {
        for partition in named(partitions) {
            // A partition may still have a lane, which may be at work: never open a second one beside it.
            let committed = !self.uncommitted.contains(&partition.0);
            self.all().entry(partition).or_insert_with(|| {
                let (queue, stop) = (Arc::new(Queue::new(self.wake.clone())), CancellationToken::new());
                let task = (self.start)(Arc::clone(&queue), stop.clone());
                Lane { queue, stop, task, paused: false, stored: None, forgotten: false, committed }
            });
        }
    }

    /// Lets the lanes of these partitions finish their current batch, stores their offsets and closes them. A lane
    /// that takes too long is aborted: its transaction is rolled back, and the partition's next owner handles the
    /// batch.
    pub fn close(&self, consumer: &BaseConsumer<Context>, partitions: &TopicPartitionList) {
        let mut lanes = self.all();
        let closing = named(partitions).filter_map(|partition| lanes.remove_entry(&partition)).collect();
        drop(lanes);
        self.drain(consumer, closing);
    }

    /// Closes the lanes that remain when the consumer ends without having lost its partitions in a rebalance.
    pub fn close_all(&self, consumer: &BaseConsumer<Context>) {
        let closing = self.all().drain().collect();
        self.drain(consumer, closing);
    }

    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    fn drain(&self, consumer: &BaseConsumer<Context>, mut closing: Vec<(Partition, Lane)>) {
        closing.iter().for_each(|(_, lane)| lane.stop.cancel());
        let drained = async {
            for (_, lane) in &mut closing {
                _ = (&mut lane.task).await;
            }
        };
        if self.runtime.block_on(async { tokio::time::timeout(self.drain, drained).await }).is_err() {
            tracing::warn!(
                "a lane did not finish in time: its batch is rolled back and handled again by the next owner"
            );
            closing.iter().for_each(|(_, lane)| lane.task.abort());
        }
        for (partition, lane) in &mut closing {
            store(consumer, partition, lane);
        }
    }

    /// Gives a record to its lane. A record of a partition that was taken away is dropped: its next owner reads it.
    pub fn feed(&self, consumer: &BaseConsumer<Context>, record: Record) {
        let partition = (record.place.topic.clone(), record.place.partition);
        let mut lanes = self.all();
        let Some(lane) = lanes.get_mut(&partition).filter(|lane| !lane.forgotten) else { return };
        lane.queue.push(record);
        if !lane.paused && lane.queue.holds(self.full_records, self.full_bytes) {
            lane.paused = turn(&partition, |list| consumer.pause(list));
        }
    }

    /// Stores handled offsets, and resumes partitions whose lanes have room again.
    pub fn tend(&self, consumer: &BaseConsumer<Context>) {
        let mut lanes = self.all();
        for (partition, lane) in lanes.iter_mut() {
            store(consumer, partition, lane);
            if lane.paused && !lane.queue.holds(self.full_records / 4 * 3, self.full_bytes / 4 * 3) {
                lane.paused = !turn(partition, |list| consumer.resume(list));
            }
        }
    }

    /// Stops the lanes of topics that were created anew: nothing more is read of them here, and no offset of the old
    /// topics is committed.
    pub fn forget(&self, consumer: &BaseConsumer<Context>, topics: &BTreeSet<String>) {
        for ((topic, partition), lane) in self.all().iter_mut().filter(|((topic, _), _)| topics.contains(topic)) {
            lane.forgotten = true;
            lane.stop.cancel();
            // Overwrites the stored offset, which would otherwise be committed when the partition is revoked.
            if let Err(error) = beginning([(topic, *partition)]).and_then(|list| consumer.store_offsets(&list)) {
                tracing::debug!(topic, partition, error = %error, "the partition is lost already");
            }
        }
    }

    /// Commits offset 0 for the partitions of topics that were created anew. Brokers drop a topic's offsets with it,
    /// but may since have accepted an offset of the old topic for the new one. Blocks until they have answered.
    ///
    /// # Errors
    /// Fails if the brokers accept no offsets now, as during a rebalance.
    pub fn begin_anew(&self, consumer: &BaseConsumer<Context>) -> KafkaResult<()> {
        let lanes = self.all();
        let forgotten: Vec<_> = lanes.iter().filter(|(_, lane)| lane.forgotten).map(|(of, _)| of.clone()).collect();
        drop(lanes);
        if forgotten.is_empty() {
            return Ok(()); // librdkafka refuses to commit an empty list
        }
        consumer.commit(&beginning(forgotten.iter().map(|(topic, partition)| (topic, *partition)))?, CommitMode::Sync)
    }

    /// The next offset to handle in each partition; none where nothing was handled since this member owns the
    /// partition.
    pub fn handled(&self) -> HashMap<Partition, Option<i64>> {
        let lanes = self.all();
        let known = lanes.iter().filter(|(_, lane)| !lane.forgotten);
        known.map(|(partition, lane)| (partition.clone(), lane.queue.handled())).collect()
    }

    /// How many lanes ended without being told to.
    pub fn dead(&self) -> usize {
        self.all().values().filter(|lane| lane.task.is_finished() && !lane.stop.is_cancelled()).count()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Partition, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the offset to librdkafka, which commits it within a second, or when the partition is revoked.
fn store(consumer: &BaseConsumer<Context>, partition: &Partition, lane: &mut Lane) {
    let handled = lane.queue.handled();
    let Some(next) = handled.filter(|_| handled != lane.stored && !lane.forgotten && lane.committed) else { return };
    let mut list = TopicPartitionList::new();
    let stored = list
        .add_partition_offset(&partition.0, partition.1, Offset::Offset(next))
        .and_then(|()| consumer.store_offsets(&list));
    match stored {
        Ok(()) => lane.stored = handled,
        // The partition was lost. Its next owner reads these records again, and the inbox skips them.
        Err(error) => {
            tracing::debug!(topic = partition.0, partition = partition.1, error = %error, "an offset was not stored")
        }
    }
}

fn beginning<'a>(partitions: impl IntoIterator<Item = (&'a String, i32)>) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition_offset(topic, partition, Offset::Offset(0))?;
    }
    Ok(list)
}

fn turn(partition: &Partition, how: impl FnOnce(&TopicPartitionList) -> rdkafka::error::KafkaResult<()>) -> bool {
    let mut list = TopicPartitionList::new();
    list.add_partition(&partition.0, partition.1);
    match how(&list) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(topic = partition.0, partition = partition.1, error = %error, "a partition was not paused or resumed");
            false
        }
    }
}

fn named(list: &TopicPartitionList) -> impl Iterator<Item = Partition> + '_ {
    list.elements().into_iter().map(|element| (element.topic().to_owned(), element.partition()))
}
