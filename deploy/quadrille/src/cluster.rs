//! The Kafka that the tools look into: which one, and a connection that says what keeps it from answering.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::metadata::Metadata;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use service_kit::config::{Reader, vars};
use service_kit::kafka::Brokers;
use service_kit::kafka::client_errors::{self, ClientError};

use crate::addresses::Addresses;

/// How long one answer may take.
pub const ANSWER: Duration = Duration::from_secs(10);
/// How often a wait says that it goes on.
const PROGRESS: Duration = Duration::from_secs(5);

/// Which Kafka is meant.
#[derive(Debug, Clone, Args)]
pub struct ClusterArgs {
    /// Kafka's address; that of the local run when it isn't given.
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", value_name = "HOST:PORT", global = true)]
    bootstrap: Option<String>,
    /// The data folder of the local run.
    #[arg(long, value_name = "DIR", default_value = ".quadrille", global = true)]
    data: PathBuf,
}

impl ClusterArgs {
    pub fn data(&self) -> &PathBuf {
        &self.data
    }

    /// The Kafka that is named, or the local run's, spoken with as the environment says. Fails if none is named and no
    /// shop runs here, or if what the environment says of security is incomplete.
    pub fn cluster(&self) -> anyhow::Result<Cluster> {
        let bootstrap = match self.bootstrap.as_ref().filter(|bootstrap| !bootstrap.is_empty()) {
            Some(bootstrap) => bootstrap.clone(),
            None => {
                Addresses::read(&self.data)?
                    .with_context(|| {
                        format!("no shop runs in {}; start it, or name a Kafka with --bootstrap", self.data.display())
                    })?
                    .kafka
            }
        };
        let reader = Reader::from_env().with(&vars::KAFKA_BOOTSTRAP_SERVERS, bootstrap);
        Ok(Cluster(reader.whole(Brokers::read)?))
    }
}

/// A Kafka to look into.
#[derive(Debug, Clone)]
pub struct Cluster(pub Brokers);

impl Cluster {
    /// The settings of a client of any kind.
    pub fn client(&self) -> ClientConfig {
        let mut client = self.0.client();
        client.set("client.id", "quadrille").set("reconnect.backoff.max.ms", "1000");
        client
    }

    /// A connection that reads and asks as `group`. It joins no group and commits nothing.
    pub fn connect(&self, group: &str) -> anyhow::Result<Connection> {
        let mut client = self.client();
        client.set("group.id", group).set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
        client.set("enable.partition.eof", "true").set_log_level(RDKafkaLogLevel::Info);
        // by default it fetches 64 MB ahead
        client.set("queued.max.messages.kbytes", "8192").set("queued.min.messages", "10000");
        let consumer = client.create_with_context(Quiet::default()).context("Kafka's client")?;
        Ok(Connection { consumer, bootstrap: self.0.bootstrap.clone(), ends: Cell::new(0) })
    }
}

/// Notes what librdkafka complains of; it would say it again and again.
#[derive(Default)]
pub struct Quiet(client_errors::Last);

impl ClientContext for Quiet {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.note_log(facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.note(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

/// A connection to a Kafka. Everything here blocks.
pub struct Connection {
    pub consumer: BaseConsumer<Quiet>,
    bootstrap: String,
    ends: Cell<usize>,
}

impl Connection {
    /// All topics, once a broker answers. Nothing may be read over this connection yet. Fails, with what the client
    /// complained of, if none answers within `patience`, or none ever will.
    pub fn metadata(&self, patience: Duration) -> anyhow::Result<Metadata> {
        let (began, mut told) = (Instant::now(), Instant::now());
        loop {
            let left = patience.saturating_sub(began.elapsed());
            let asked = client_errors::ask(&self.consumer, left.min(Duration::from_secs(2)), |quiet| quiet.0.get());
            let ClientError { told: why, is_final } = match asked {
                Ok(metadata) => return Ok(metadata),
                Err(trouble) => trouble,
            };
            let bootstrap = &self.bootstrap;
            if is_final || began.elapsed() >= patience {
                anyhow::bail!("Kafka at {bootstrap} does not answer: {why}");
            }
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                let left = patience.saturating_sub(began.elapsed()).as_secs();
                writeln!(std::io::stderr(), "waiting for Kafka at {bootstrap}, {left} s more: {why}")?;
            }
            std::thread::sleep(Duration::from_millis(250).min(left));
        }
    }

    /// The next record, or why there is none; nothing if none comes in time. Fails if the client can't go on.
    pub fn read(&self, patience: Duration) -> anyhow::Result<Option<Result<BorrowedMessage<'_>, String>>> {
        match self.consumer.poll(patience) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(Ok(message))),
            Some(Err(KafkaError::PartitionEOF(_))) => {
                self.ends.set(self.ends.get() + 1);
                Ok(None)
            }
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                Err(error).context("Kafka's client can't go on")
            }
            Some(Err(error)) => Ok(Some(Err(self.last_trouble().unwrap_or_else(|| error.to_string())))),
        }
    }

    fn last_trouble(&self) -> Option<String> {
        self.consumer.context().0.get().map(|trouble| trouble.told)
    }

    /// How many partitions were said to have come to their end since it was asked last.
    pub fn ends(&self) -> usize {
        self.ends.take()
    }

    /// Whether a broker answers now.
    pub fn answers(&self) -> bool {
        self.consumer.fetch_metadata(None, Duration::from_secs(2)).is_ok_and(|found| !found.brokers().is_empty())
    }

    /// Where these partitions begin, or end.
    pub fn offsets(&self, partitions: &[(String, i32)], which: Offset) -> anyhow::Result<HashMap<(String, i32), i64>> {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions {
            list.add_partition_offset(topic, *partition, which)?;
        }
        let found = self.consumer.offsets_for_times(list, ANSWER).context("asking Kafka for offsets")?;
        Ok(numbers(&found))
    }
}

/// The offsets of a list that are known.
pub fn numbers(list: &TopicPartitionList) -> HashMap<(String, i32), i64> {
    let known = list.elements().into_iter().filter_map(|found| match found.offset() {
        Offset::Offset(number) if number >= 0 => Some(((found.topic().to_owned(), found.partition()), number)),
        _ => None,
    });
    known.collect()
}
