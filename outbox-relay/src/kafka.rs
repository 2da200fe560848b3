//! The real publisher: an idempotent Kafka producer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, PurgeConfig, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use tokio::sync::mpsc;

use service_kit::kafka::{Brokers, trouble};

use crate::publisher::{Failure, OutboxRow, Publisher, Report};
use crate::questions::Questions;

/// How many reports are fetched at once.
const REPORTS: usize = 10_000;

/// Publishes to Kafka.
///
/// The producer is made when the relay begins to lead: one that stands by holds no connection to the brokers.
pub struct KafkaPublisher {
    config: ClientConfig,
    running: Option<Running>,
    /// Reports of rows that were not handed to librdkafka.
    refused: Vec<Report>,
}

struct Running {
    producer: ThreadedProducer<Deliveries>,
    reports: mpsc::UnboundedReceiver<Report>,
    failed: Arc<AtomicBool>,
}

/// Passes delivery reports on. Unbounded on purpose: a delivery callback must not block, and there is one report a row
/// under way, which the relay bounds.
struct Deliveries {
    reports: mpsc::UnboundedSender<Report>,
    failed: Arc<AtomicBool>,
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        if trouble::says_little(&error) {
            tracing::debug!(%error, reason, "the producer's connection to Kafka");
        } else {
            tracing::warn!(%error, reason = trouble::of(&error, reason).told, "the producer's connection to Kafka");
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, id: usize) {
        let outcome = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => {
                self.failed.store(true, Ordering::Release);
                Err(failure(error))
            }
        };
        // Nobody listens any more once the publisher was dropped.
        let _ = self.reports.send(Report { id: id.cast_signed() as i64, outcome });
    }
}

impl KafkaPublisher {
    /// Publishes to these brokers, with at most `rows` and `bytes` under way.
    pub fn new(brokers: &Brokers, rows: usize, bytes: usize) -> Self {
        let mut config = brokers.client();
        config
            .set("client.id", "outbox-relay")
            // Acknowledged by all in-sync replicas, written once, in order.
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // A batch that fails for good stops the producer; librdkafka would otherwise send what follows.
            .set("enable.gapless.guarantee", "true")
            // An outage is waited for, never given up.
            .set("message.timeout.ms", "0")
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.keepalive.enable", "true")
            // Java's default, so that other clients find a key in the same partition.
            .set("partitioner", "murmur2_random")
            // A topic that isn't there is a mistake to be told, not to be made with the broker's defaults.
            .set("allow.auto.create.topics", "false")
            .set("topic.metadata.propagation.max.ms", "10000")
            // Rows come in whole batches already.
            .set("linger.ms", "1")
            .set("compression.type", "lz4")
            // What is too large for the topic shall be said by the broker, which knows the topic's own limit.
            .set("message.max.bytes", "10000000")
            // Somewhat more than the relay hands over, so that the queue is never full.
            .set("queue.buffering.max.messages", (rows * 2).to_string())
            .set("queue.buffering.max.kbytes", (bytes * 2 / 1024).max(1024).to_string());
        Self { config, running: None, refused: Vec::new() }
    }

    /// Changes a setting of the client, as librdkafka names it: security, timeouts, sizes.
    #[must_use]
    pub fn with(mut self, setting: &str, value: &str) -> Self {
        self.config.set(setting, value);
        self
    }

    /// Asks the brokers about topics, over the same way.
    pub(crate) fn questions(&self) -> anyhow::Result<Questions> {
        Questions::new(&self.config)
    }

    fn start(&mut self) -> Result<&Running, KafkaError> {
        let running = match self.running.take() {
            Some(running) => running,
            None => {
                let (sender, reports) = mpsc::unbounded_channel();
                let failed = Arc::new(AtomicBool::new(false));
                let context = Deliveries { reports: sender, failed: Arc::clone(&failed) };
                Running { producer: self.config.create_with_context(context)?, reports, failed }
            }
        };
        Ok(self.running.insert(running))
    }
}

impl Publisher for KafkaPublisher {
    /// Meeting the brokers and getting a producer's id takes half a second.
    fn warm_up(&mut self) {
        if let Err(error) = self.start() {
            tracing::error!(%error, "no Kafka producer can be made from this configuration");
        }
    }

    fn publish(&mut self, rows: &[OutboxRow]) {
        let mut refused = Vec::new();
        let refuse = |row: &OutboxRow, failure| Report { id: row.id, outcome: Err(failure) };
        match self.start() {
            Err(error) => refused.extend(rows.iter().map(|row| refuse(row, Failure::Outage(error.to_string())))),
            Ok(running) => {
                for row in rows {
                    if running.failed.load(Ordering::Acquire) {
                        refused.push(refuse(row, Failure::Outage("a row before it failed".to_owned())));
                    } else if let Err((error, _)) = running.producer.send(record(row)) {
                        running.failed.store(true, Ordering::Release);
                        refused.push(refuse(row, failure(&error)));
                    }
                }
            }
        }
        self.refused.append(&mut refused);
    }

    async fn reports(&mut self, reports: &mut Vec<Report>) {
        if !self.refused.is_empty() {
            reports.append(&mut self.refused);
            return;
        }
        match &mut self.running {
            Some(running) => {
                running.reports.recv_many(reports, REPORTS).await;
            }
            None => std::future::pending().await,
        }
    }

    fn reports_so_far(&mut self, reports: &mut Vec<Report>) {
        reports.append(&mut self.refused);
        if let Some(running) = &mut self.running {
            while let Ok(report) = running.reports.try_recv() {
                reports.push(report);
            }
        }
    }

    async fn withdraw(&mut self, patience: Duration, reports: &mut Vec<Report>) {
        if let Some(Running { producer, reports: mut channel, .. }) = self.running.take() {
            // Flushing and ending a producer block.
            let ended = tokio::task::spawn_blocking(move || {
                if !patience.is_zero() {
                    let _ = producer.flush(patience); // what is not acknowledged by then is given up
                }
                // Before the drop, which first waits for the producer's thread while the client goes on sending.
                producer.purge(PurgeConfig::default().queue().inflight());
                drop(producer);
            });
            if ended.await.is_err() {
                tracing::error!("ending the producer failed");
            }
            while let Ok(report) = channel.try_recv() {
                reports.push(report);
            }
        }
        reports.append(&mut self.refused);
    }
}

fn record(row: &OutboxRow) -> BaseRecord<'_, str, [u8], usize> {
    let headers =
        row.headers.iter().fold(OwnedHeaders::new_with_capacity(row.headers.len()), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
    BaseRecord::with_opaque_to(&row.topic, (row.id as isize).cast_unsigned())
        .key(row.key.as_str())
        .payload(row.payload.as_slice())
        .headers(headers)
}

/// Only what the broker says of the row itself is held against the row. An unknown topic, a missing authorisation, a
/// producer that was ended: those pass, or somebody mends them.
fn failure(error: &KafkaError) -> Failure {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(
            code @ (Code::MessageSizeTooLarge
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::MessageBatchTooLarge
            | Code::InvalidTimestamp
            | Code::InvalidTopic
            | Code::InvalidRecord
            | Code::PolicyViolation),
        ) => Failure::Refused(code.to_string()),
        Some(code) => Failure::Outage(code.to_string()),
        None => Failure::Outage(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_topic_or_a_missing_authorisation_is_an_outage_and_a_row_too_large_is_not() {
        let outcome = |code| failure(&KafkaError::MessageProduction(code));
        for passes in [
            RDKafkaErrorCode::UnknownTopic,
            RDKafkaErrorCode::UnknownTopicOrPartition,
            RDKafkaErrorCode::TopicAuthorizationFailed,
            RDKafkaErrorCode::PurgeQueue,
            RDKafkaErrorCode::Fatal,
        ] {
            assert!(matches!(outcome(passes), Failure::Outage(_)), "{passes}");
        }
        assert!(matches!(outcome(RDKafkaErrorCode::MessageSizeTooLarge), Failure::Refused(_)));
    }
}
