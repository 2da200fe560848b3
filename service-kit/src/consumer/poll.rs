//! The poll thread. Only this thread reads from Kafka, and it waits for a lane only when a partition is taken away.

use std::collections::{BTreeMap, BTreeSet};
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
use crate::kafka::principal::lacks_rights;
use crate::kafka::{Principal, client_log};

/// The longest rest when there is nothing to read. Arriving records and lanes that finish a batch end the rest; this
/// limit is for what ends none, such as a lane that died.
const REST: Duration = Duration::from_secs(1);
/// How long a poll waits while the member leaves the group.
const LEAVING: Duration = Duration::from_millis(200);

/// How many records are read before the lanes are looked after again.
const BURST: usize = 64;

/// How often a repeating failure is logged: an outage repeats many times a second and would flood the log.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// How long leaving the group may take. It is more than the lanes get to finish their batches.
const LEAVE: Duration = Duration::from_secs(12);

/// Opens and closes lanes as partitions come and go. librdkafka calls it from within a poll, on the poll thread.
pub(crate) struct Context {
    lanes: Arc<Lanes>,
    trouble: client_errors::Last,
    anew: RecreatedTopics,
    /// Set when a poll delivered something other than a record: a log line, an error, a rebalance.
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

    /// Stops the lanes of recreated topics. Returns whether a topic was recreated since the last call.
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
        // A missing topic is logged by the watch; librdkafka would report it for each partition, again and again.
        // So is one that may not be read, and the poll says the same of the group.
        if client_errors::says_little(&error) || is_not_there(&error) || is_about_rights(&error) {
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
                // A partition that was paused when it was revoked would otherwise come back paused.
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

fn is_about_rights(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(lacks_rights)
}

/// What the brokers refuse for the client's rights. Which topic that is, the error doesn't say.
fn forbidden(error: &KafkaError, handle: &ConsumerHandle) -> String {
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) {
        return format!("read as a member of the group {}", handle.group());
    }
    let topics: Vec<_> = handle.subscriptions().iter().map(|heard| heard.topic.as_str()).collect();
    format!("read all of {}", topics.join(", "))
}

/// Checks that a broker answers a consumer that is not subscribed yet.
///
/// # Errors
/// Fails with the reason if no broker answers.
pub(crate) fn ask(consumer: &BaseConsumer<Context>, patience: Duration) -> Result<(), ClientError> {
    client_errors::ask(consumer, patience, |context| context.trouble.get()).map(drop)
}

/// Whether the consumer was fenced because another member joined with its `group.instance.id`.
pub(crate) fn is_replaced(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId)))
}

/// Why a member left the group without a failure.
pub(crate) enum End {
    /// It was told to stop.
    Told,
    /// These topics were deleted and created anew. They must be read from the beginning by a new client: this one's
    /// positions, and its knowledge of the partitions' leaders, belong to the old topics.
    RecreatedTopics(BTreeSet<String>),
}

/// Polls until told to stop or until a topic is created anew. Then it leaves the group, which drains the lanes.
///
/// # Errors
/// Fails if librdkafka can't go on, for example because another member took this one's `group.instance.id`.
pub(crate) fn poll(
    consumer: &BaseConsumer<Context>,
    lanes: &Lanes,
    handle: &ConsumerHandle,
    principal: &Principal,
    stop: &CancellationToken,
) -> anyhow::Result<End> {
    let end = read(consumer, lanes, handle, principal, stop);
    consumer.unsubscribe();
    let deadline = Instant::now() + LEAVE;
    while !lanes.is_empty() && end.is_ok() && Instant::now() < deadline {
        // Polling delivers the revocation. Records that still arrive are left for the next owner.
        drop(consumer.poll(LEAVING));
    }
    lanes.close_all(consumer);
    end
}

/// When a repeating failure was logged last.
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
    principal: &Principal,
    stop: &CancellationToken,
) -> anyhow::Result<End> {
    let (mut told, mut told_of_rights) = (Told::default(), BTreeMap::<String, Told>::new());
    lanes.wake().this_thread_rests();
    while !stop.is_cancelled() {
        handle.note_poll();
        handle.note_dead_lanes(lanes.dead());
        let anew = consumer.context().anew.topics();
        if !anew.is_empty() {
            match lanes.begin_anew(consumer) {
                Ok(()) => return Ok(End::RecreatedTopics(anew)),
                // For example, the group is being rebalanced, which needs further polling.
                Err(error) if told.is_due() => {
                    tracing::warn!(topics = ?anew, error = %error, "offsets of recreated topics can't be reset now");
                }
                Err(_) => {}
            }
        }
        lanes.tend(consumer);
        let mut all_is_read = false;
        for _ in 0..BURST {
            let polled = consumer.poll(Duration::ZERO);
            // This comes before the record, which may be the first of the new topic.
            let anew = consumer.context().forget_old_topics(consumer);
            match polled {
                // The poll delivered something other than a record, so more may be waiting.
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
                Some(Err(error)) if is_not_there(&error) => tracing::debug!(error = %error, "a topic does not exist"),
                Some(Err(error)) if is_about_rights(&error) => {
                    let what = forbidden(&error, handle);
                    if told_of_rights.entry(what.clone()).or_default().is_due() {
                        tracing::warn!("{}; it is tried again", principal.may_not(&what));
                    }
                }
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
