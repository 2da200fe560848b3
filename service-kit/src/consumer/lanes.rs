//! The lanes of the partitions that this member owns. Used by the poll thread alone, but for [`Lanes::handled`].

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
    /// Topics of which no offset is committed: each member reads them from their beginning.
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
    /// The topic was made anew: what was read of the old one says nothing of this one.
    forgotten: bool,
    /// Whether the brokers are told how far it has come.
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

    /// What ends a rest of the poll thread.
    pub const fn wake(&self) -> &Wake {
        &self.wake
    }

    pub fn open(&self, partitions: &TopicPartitionList) {
        for partition in named(partitions) {
            // never a second lane beside one that may still be at work
            let committed = !self.uncommitted.contains(&partition.0);
            self.all().entry(partition).or_insert_with(|| {
                let (queue, stop) = (Arc::new(Queue::new(self.wake.clone())), CancellationToken::new());
                let task = (self.start)(Arc::clone(&queue), stop.clone());
                Lane { queue, stop, task, paused: false, stored: None, forgotten: false, committed }
            });
        }
    }

    /// Lets the lanes of these partitions finish the batch in hand, stores how far they came, and closes them. A lane
    /// that takes too long is cut off: its transaction is rolled back, and the next owner handles the batch.
    pub fn close(&self, consumer: &BaseConsumer<Context>, partitions: &TopicPartitionList) {
        let mut lanes = self.all();
        let closing = named(partitions).filter_map(|partition| lanes.remove_entry(&partition)).collect();
        drop(lanes);
        self.drain(consumer, closing);
    }

    /// Closes what is left, as when partitions were never taken away because the consumer can't go on.
    pub fn close_all(&self, consumer: &BaseConsumer<Context>) {
        let closing = self.all().drain().collect();
        self.drain(consumer, closing);
    }

    /// Whether no partition is owned.
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

    /// Gives a record to its lane; drops one of a partition that was taken away: its next owner reads it.
    pub fn feed(&self, consumer: &BaseConsumer<Context>, record: Record) {
        let partition = (record.place.topic.clone(), record.place.partition);
        let mut lanes = self.all();
        let Some(lane) = lanes.get_mut(&partition).filter(|lane| !lane.forgotten) else { return };
        lane.queue.push(record);
        if !lane.paused && lane.queue.holds(self.full_records, self.full_bytes) {
            lane.paused = turn(&partition, |list| consumer.pause(list));
        }
    }

    /// Stores what was handled, and lets the partitions of lanes go on that are no longer full.
    pub fn tend(&self, consumer: &BaseConsumer<Context>) {
        let mut lanes = self.all();
        for (partition, lane) in lanes.iter_mut() {
            store(consumer, partition, lane);
            if lane.paused && !lane.queue.holds(self.full_records / 4 * 3, self.full_bytes / 4 * 3) {
                lane.paused = !turn(partition, |list| consumer.resume(list));
            }
        }
    }

    /// The topics were made anew: nothing more is read of them here, and no offset of the old ones is committed.
    pub fn forget(&self, consumer: &BaseConsumer<Context>, topics: &BTreeSet<String>) {
        for ((topic, partition), lane) in self.all().iter_mut().filter(|((topic, _), _)| topics.contains(topic)) {
            lane.forgotten = true;
            lane.stop.cancel();
            // or what was stored last would be committed when the partition goes
            if let Err(error) = beginning([(topic, *partition)]).and_then(|list| consumer.store_offsets(&list)) {
                tracing::debug!(topic, partition, error = %error, "the partition is lost already");
            }
        }
    }

    /// Has the group begin what is forgotten at its beginning: the brokers, which drop a topic's offsets with it, may have
    /// taken one of the old topic for the new one since. Blocks until they have answered.
    ///
    /// # Errors
    /// They take no offsets now.
    pub fn begin_anew(&self, consumer: &BaseConsumer<Context>) -> KafkaResult<()> {
        let lanes = self.all();
        let forgotten: Vec<_> = lanes.iter().filter(|(_, lane)| lane.forgotten).map(|(of, _)| of.clone()).collect();
        drop(lanes);
        if forgotten.is_empty() {
            return Ok(()); // no offset without a partition
        }
        consumer.commit(&beginning(forgotten.iter().map(|(topic, partition)| (topic, *partition)))?, CommitMode::Sync)
    }

    /// The next offset to handle of each partition; none where nothing was handled since it was given to this member.
    pub fn handled(&self) -> HashMap<Partition, Option<i64>> {
        let lanes = self.all();
        let known = lanes.iter().filter(|(_, lane)| !lane.forgotten);
        known.map(|(partition, lane)| (partition.clone(), lane.queue.handled())).collect()
    }

    /// Lanes that ended though nobody told them to.
    pub fn dead(&self) -> usize {
        self.all().values().filter(|lane| lane.task.is_finished() && !lane.stop.is_cancelled()).count()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Partition, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands the offset to librdkafka, which sends it to the broker within a second, or when the partition goes.
fn store(consumer: &BaseConsumer<Context>, partition: &Partition, lane: &mut Lane) {
    let handled = lane.queue.handled();
    let Some(next) = handled.filter(|_| handled != lane.stored && !lane.forgotten && lane.committed) else { return };
    let mut list = TopicPartitionList::new();
    let stored = list
        .add_partition_offset(&partition.0, partition.1, Offset::Offset(next))
        .and_then(|()| consumer.store_offsets(&list));
    match stored {
        Ok(()) => lane.stored = handled,
        // the partition was lost: its next owner hears these again, and the inbox knows them
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
