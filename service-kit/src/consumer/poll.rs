//! The poll thread: it alone reads from Kafka, and nothing here waits for a lane but a partition that is taken away.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tokio_util::sync::CancellationToken;

use super::lanes::Lanes;
use super::topic_recreation::RecreatedTopics;
use super::{ConsumerHandle, Record};
use crate::kafka::client_errors::{self, ClientError};
use crate::kafka::client_log;

/// How long the thread rests at most when there is nothing to read. What comes ends the rest, and so does a lane that has
/// handled a batch: this is for what ends none, as a lane that died.
const REST: Duration = Duration::from_secs(1);
/// How long a poll waits while the group is left.
const LEAVING: Duration = Duration::from_millis(200);

/// So many records are read before the lanes are looked after again.
const BURST: usize = 64;

/// An outage repeats itself many times a second, which would bury everything else in the log.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// How long leaving the group may take; more than the lanes get to finish their batches.
const LEAVE: Duration = Duration::from_secs(12);

/// Opens and closes lanes as partitions come and go. librdkafka calls it from within a poll, on the poll thread.
pub(crate) struct Context {
    lanes: Arc<Lanes>,
    trouble: client_errors::Last,
    anew: RecreatedTopics,
    /// A poll that brought no record brought something else: a line of the log, an error, a rebalance.
    served: AtomicBool,
}

impl Context {
    pub fn new(lanes: Arc<Lanes>) -> Self {
        Self {
            lanes,
            trouble: client_errors::Last::default(),
            anew: RecreatedTopics::default(),
            served: AtomicBool::new(false),
        }
    }

    /// Whether topics were made anew since it was asked last; the lanes of all that were are forgotten.
    fn forget_old_topics(&self, consumer: &BaseConsumer<Self>) -> bool {
        let news = self.anew.is_news();
        if news {
            self.lanes.forget(consumer, &self.anew.topics());
        }
        news
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.served.store(true, Ordering::Relaxed);
        self.trouble.note_log(facility, message);
        self.anew.note_log(facility, message);
        client_log::write(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.served.store(true, Ordering::Relaxed);
        self.trouble.note(&error, reason);
        // the watch tells which topics are not there; librdkafka does of each partition, again and again
        if client_errors::says_little(&error) || is_not_there(&error) {
            tracing::debug!(error = %error, "Kafka: {reason}");
        } else {
            tracing::warn!(error = %error, "Kafka: {}", client_errors::of(&error, reason).told);
        }
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.served.store(true, Ordering::Relaxed);
        self.forget_old_topics(consumer);
        match rebalance {
            Rebalance::Assign(partitions) => self.lanes.open(partitions),
            Rebalance::Revoke(partitions) => self.lanes.close(consumer, partitions),
            Rebalance::Error(error) => tracing::warn!(error = %error, "a rebalance failed"),
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => {
                tracing::info!(partitions = partitions.count(), "partitions were given to this member");
                // one that was paused when it was taken away must not come back paused
                if let Err(error) = consumer.resume(partitions) {
                    tracing::warn!(error = %error, "new partitions were not resumed");
                }
            }
            Rebalance::Revoke(partitions) => {
                tracing::info!(partitions = partitions.count(), "partitions were taken from this member");
            }
            Rebalance::Error(_) => {}
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        self.served.store(true, Ordering::Relaxed);
        if let Err(error) = result {
            tracing::debug!(error = %error, "offsets were not committed; they go with the next ones");
        }
    }
}

fn is_not_there(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition)
}

/// Whether a broker answers a consumer that is not subscribed yet.
///
/// # Errors
/// None does: why.
pub(crate) fn ask(consumer: &BaseConsumer<Context>, patience: Duration) -> Result<(), ClientError> {
    client_errors::ask(consumer, patience, |context| context.trouble.get()).map(drop)
}

/// Whether the consumer can't go on since another member took its place.
pub(crate) fn is_replaced(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId)))
}

/// Why a member left the group in order.
pub(crate) enum End {
    /// It was told to.
    Told,
    /// These topics were made anew under it, and are to be read from their beginning by a client that doesn't know the
    /// old ones: this one's positions, and what it knows of their leaders, are wrong now.
    RecreatedTopics(BTreeSet<String>),
}

/// Polls until told to stop or a topic is made anew, then leaves the group, which drains the lanes.
///
/// # Errors
/// librdkafka can't go on, as when another member took this one's `group.instance.id`.
pub(crate) fn poll(
    consumer: &BaseConsumer<Context>,
    lanes: &Lanes,
    handle: &ConsumerHandle,
    stop: &CancellationToken,
) -> anyhow::Result<End> {
    let end = read(consumer, lanes, handle, stop);
    consumer.unsubscribe();
    let deadline = Instant::now() + LEAVE;
    while !lanes.is_empty() && end.is_ok() && Instant::now() < deadline {
        // the partitions are taken away in here; records that still come are for their next owner
        drop(consumer.poll(LEAVING));
    }
    lanes.close_all(consumer);
    end
}

/// When trouble was told last.
#[derive(Default)]
struct Told(Option<Instant>);

impl Told {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= TELL_AGAIN);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

fn read(
    consumer: &BaseConsumer<Context>,
    lanes: &Lanes,
    handle: &ConsumerHandle,
    stop: &CancellationToken,
) -> anyhow::Result<End> {
    let mut told = Told::default();
    lanes.wake().this_thread_rests();
    while !stop.is_cancelled() {
        handle.note_poll();
        handle.note_dead_lanes(lanes.dead());
        let anew = consumer.context().anew.topics();
        if !anew.is_empty() {
            match lanes.begin_anew(consumer) {
                Ok(()) => return Ok(End::RecreatedTopics(anew)),
                // as while the group is being rebalanced, which goes on by polling
                Err(error) if told.is_due() => {
                    tracing::warn!(topics = ?anew, error = %error, "offsets of topics that were made anew can't be reset now");
                }
                Err(_) => {}
            }
        }
        lanes.tend(consumer);
        let mut all_is_read = false;
        for _ in 0..BURST {
            let polled = consumer.poll(Duration::ZERO);
            // before the record, which may be the first of the new topic
            let anew = consumer.context().forget_old_topics(consumer);
            match polled {
                // there may be more behind what was no record
                None if consumer.context().served.swap(false, Ordering::Relaxed) => {}
                None => {
                    all_is_read = true;
                    break;
                }
                Some(Ok(message)) => {
                    let record = Record::read(&message);
                    drop(message);
                    lanes.feed(consumer, record);
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    return Err(anyhow::Error::new(error).context("the consumer can't go on"));
                }
                Some(Err(error)) if is_not_there(&error) => tracing::debug!(error = %error, "a topic is not there"),
                Some(Err(error)) if told.is_due() => {
                    tracing::warn!(error = %error, "reading from Kafka failed; librdkafka goes on trying");
                }
                Some(Err(_)) => {}
            }
            if anew {
                break;
            }
        }
        if all_is_read {
            lanes.wake().rest(REST);
        }
    }
    Ok(End::Told)
}
