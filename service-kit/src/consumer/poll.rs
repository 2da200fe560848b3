//! The poll thread: it alone reads from Kafka, and nothing here waits for a lane but a partition that is taken away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tokio_util::sync::CancellationToken;

use super::lanes::Lanes;
use super::{ConsumerHandle, Record};
use crate::kafka::trouble::{self, Trouble};

/// How long a poll waits for a record.
const IDLE: Duration = Duration::from_millis(50);
/// While a partition is paused its lane may soon have room again.
const PAUSED: Duration = Duration::from_millis(2);

/// So many records are read before the lanes are looked after again.
const BURST: usize = 64;

/// An outage repeats itself many times a second, which would bury everything else in the log.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// How long leaving the group may take; more than the lanes get to finish their batches.
const LEAVE: Duration = Duration::from_secs(12);

/// Opens and closes lanes as partitions come and go. librdkafka calls it from within a poll, on the poll thread.
pub(crate) struct Context {
    lanes: Arc<Lanes>,
    trouble: trouble::Last,
}

impl Context {
    pub fn new(lanes: Arc<Lanes>) -> Self {
        Self { lanes, trouble: trouble::Last::default() }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.trouble.note_log(facility, message);
        match level {
            _ if facility == "FAIL" => tracing::debug!(facility, "librdkafka: {message}"), // comes as an error too
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::warn!(facility, "librdkafka: {message}");
            }
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => tracing::info!(facility, "librdkafka: {message}"),
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => tracing::debug!(facility, "librdkafka: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.trouble.note(&error, reason);
        if trouble::says_little(&error) {
            tracing::debug!(error = %error, "Kafka: {reason}");
        } else {
            tracing::warn!(error = %error, "Kafka: {}", trouble::of(&error, reason).told);
        }
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
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
        if let Err(error) = result {
            tracing::debug!(error = %error, "offsets were not committed; they go with the next ones");
        }
    }
}

/// Whether a broker answers a consumer that is not subscribed yet.
///
/// # Errors
/// None does: why.
pub(crate) fn ask(consumer: &BaseConsumer<Context>, patience: Duration) -> Result<(), Trouble> {
    trouble::ask(consumer, patience, |context| context.trouble.get()).map(drop)
}

/// Whether the consumer can't go on since another member took its place.
pub(crate) fn is_replaced(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId)))
}

/// Polls until told to stop, then leaves the group, which drains the lanes.
///
/// # Errors
/// librdkafka can't go on, as when another member took this one's `group.instance.id`.
pub(crate) fn poll(
    consumer: &BaseConsumer<Context>,
    lanes: &Lanes,
    handle: &ConsumerHandle,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let end = read(consumer, lanes, handle, stop);
    consumer.unsubscribe();
    let deadline = Instant::now() + LEAVE;
    while !lanes.is_empty() && end.is_ok() && Instant::now() < deadline {
        // the partitions are taken away in here; records that still come are for their next owner
        drop(consumer.poll(IDLE));
    }
    lanes.close_all(consumer);
    end
}

fn read(
    consumer: &BaseConsumer<Context>,
    lanes: &Lanes,
    handle: &ConsumerHandle,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut told: Option<Instant> = None;
    while !stop.is_cancelled() {
        handle.note_poll();
        handle.note_dead_lanes(lanes.dead());
        let mut wait = if lanes.tend(consumer) { PAUSED } else { IDLE };
        for _ in 0..BURST {
            match consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    let record = Record::read(&message);
                    drop(message);
                    lanes.feed(consumer, record);
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    return Err(anyhow::Error::new(error).context("the consumer can't go on"));
                }
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                    tracing::debug!(error = %error, "a topic is not there"); // the watch tells
                }
                Some(Err(error)) => {
                    if told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
                        tracing::warn!(error = %error, "reading from Kafka failed; librdkafka goes on trying");
                        told = Some(Instant::now());
                    }
                }
            }
            wait = Duration::ZERO;
        }
    }
    Ok(())
}
