//! The real publisher: an idempotent Kafka producer.

mod failure;
mod partitions;
mod served;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};
use tokio::sync::mpsc;

use service_kit::kafka::{Brokers, Principal, client_errors, client_log};

use self::failure::Rights;
use self::partitions::{Counts, Partitions};
use self::served::Served;
use crate::broker_metadata::BrokerMetadata;
use crate::publisher::{Failure, OutboxRow, Publisher, Report};

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
    producer: Served<Deliveries, Counts>,
    reports: mpsc::UnboundedReceiver<Report>,
    failed: Arc<AtomicBool>,
    doubted: Arc<AtomicBool>,
    rights: Arc<Rights>,
    partitions: Partitions,
}

impl Running {
    fn start(config: &ClientConfig) -> Result<Self, KafkaError> {
        let (sender, reports) = mpsc::unbounded_channel();
        let (failed, doubted) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let counts = Arc::<Counts>::default();
        let rights = Arc::new(Rights::of(Principal::of(config)));
        let context = Deliveries {
            reports: sender,
            failed: Arc::clone(&failed),
            doubted: Arc::clone(&doubted),
            rights: Arc::clone(&rights),
            counts: Arc::clone(&counts),
        };
        let producer = Served::start(config, context)?;
        Ok(Self { producer, reports, failed, doubted, rights, partitions: Partitions::new(counts) })
    }

    /// Sends a row, or holds it until its partition is proven. The failure, if it can't be handed to the client.
    fn take(&mut self, row: &OutboxRow, now: Instant) -> Result<(), Failure> {
        if self.failed.load(Ordering::Acquire) {
            return Err(Failure::Outage("a row before it failed".to_owned()));
        }
        if self.partitions.outgrown() {
            self.failed.store(true, Ordering::Release);
            return Err(Failure::Outage(
                "its topic has other partitions now, which a new producer begins with".to_owned(),
            ));
        }
        if self.partitions.admit(row, now)
            && let Err(error) = self.producer.send(record(row))
        {
            self.failed.store(true, Ordering::Release);
            return Err(self.rights.failure(&error, &row.topic));
        }
        Ok(())
    }

    /// Sends what was held for these acknowledgements. Returns reports of what could not be sent.
    fn release(&mut self, reports: &[Report]) -> Vec<Report> {
        let mut refused = Vec::new();
        for acknowledged in reports.iter().filter(|report| report.outcome.is_ok()) {
            for row in self.partitions.acknowledged(acknowledged.id) {
                if let Err(failure) = self.take(&row, Instant::now()) {
                    refused.push(Report { id: row.id, outcome: Err(failure) });
                }
            }
        }
        refused
    }
}

/// Passes delivery reports on. The channel has no bound of its own: a delivery callback must not block, and there is one
/// report for each row under way, of which the relay bounds the number.
struct Deliveries {
    reports: mpsc::UnboundedSender<Report>,
    failed: Arc<AtomicBool>,
    /// An acknowledgement was not believed, and none is any more.
    doubted: Arc<AtomicBool>,
    rights: Arc<Rights>,
    counts: Arc<Counts>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client_log::write(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if client_errors::is_about_rights(reason) {
            // The rows' reports tell it, once, with the topic.
            self.rights.note_lacking();
            tracing::debug!(%error, reason, "the producer lacks a right");
        } else if client_errors::says_little(&error) {
            tracing::debug!(%error, reason, "the producer's connection to Kafka");
        } else {
            tracing::warn!(%error, reason = client_errors::of(&error, reason).told, "the producer's connection to Kafka");
        }
    }
}

impl Deliveries {
    /// A success without an offset is a conclusion of the client's, not the broker's word: the client drew it from a later
    /// success, or from an answer that says the row is a duplicate. It may be wrong, so the row is published again. So are
    /// those that are reported after it, or a later row of its key would stay before it. (Of a batch that is a duplicate
    /// only the first row has no offset: the client counts up from -1.)
    fn believed(&self, offset: i64) -> Result<(), Failure> {
        if offset < 0 {
            self.doubted.store(true, Ordering::Release);
            return Err(Failure::Outage(
                "Kafka's client reports a success without an offset, which proves nothing".to_owned(),
            ));
        }
        if self.doubted.load(Ordering::Acquire) {
            return Err(Failure::Outage("a success before it was not believed".to_owned()));
        }
        Ok(())
    }
}

impl ProducerContext<Counts> for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, id: usize) {
        let outcome = match result {
            Ok(message) => self.believed(message.offset()),
            Err((error, message)) => Err(self.rights.failure(error, message.topic())),
        };
        if outcome.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        // Nobody listens any more once the publisher was dropped.
        let _ = self.reports.send(Report { id: id.cast_signed() as i64, outcome });
    }

    fn get_custom_partitioner(&self) -> Option<&Counts> {
        Some(&self.counts)
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
            // A topic that isn't there is a mistake to be told, not to be made with the broker's defaults.
            .set("allow.auto.create.topics", "false")
            .set("topic.metadata.propagation.max.ms", "10000")
            // A row that is alone waits for this long. In a drain the five requests under way fill batches by themselves.
            .set("linger.ms", "0.1")
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
    pub(crate) fn broker_metadata(&self) -> anyhow::Result<BrokerMetadata> {
        BrokerMetadata::new(&self.config)
    }

    fn start(&mut self) -> Result<&mut Running, KafkaError> {
        let running = match self.running.take() {
            Some(running) => running,
            None => Running::start(&self.config)?,
        };
        Ok(self.running.insert(running))
    }

    /// Reports have come: what waited for one of them goes out.
    fn release(&mut self, reports: &[Report]) {
        if let Some(running) = &mut self.running {
            self.refused.append(&mut running.release(reports));
        }
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
                let now = Instant::now();
                refused.extend(rows.iter().filter_map(|row| Some(refuse(row, running.take(row, now).err()?))));
            }
        }
        self.refused.append(&mut refused);
    }

    async fn reports(&mut self, reports: &mut Vec<Report>) {
        if !self.refused.is_empty() {
            reports.append(&mut self.refused);
            return;
        }
        let before = reports.len();
        match &mut self.running {
            Some(running) => {
                running.reports.recv_many(reports, REPORTS).await;
            }
            None => std::future::pending().await,
        }
        self.release(&reports[before..]);
    }

    async fn withdraw(&mut self, patience: Duration, reports: &mut Vec<Report>) {
        if let Some(Running { producer, reports: mut channel, partitions, doubted, .. }) = self.running.take() {
            // After a doubt nothing is believed any more, and what still went out would be before the row that is doubted.
            let patience = if doubted.load(Ordering::Acquire) { Duration::ZERO } else { patience };
            let ended = tokio::task::spawn_blocking(move || producer.end(patience));
            if ended.await.is_err() {
                tracing::error!("ending the producer failed");
            }
            while let Ok(report) = channel.try_recv() {
                reports.push(report);
            }
            let unsent = || Err(Failure::Outage("it was held when a row before it failed".to_owned()));
            reports.extend(partitions.into_held().map(|row| Report { id: row.id, outcome: unsent() }));
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

#[cfg(test)]
mod tests;
