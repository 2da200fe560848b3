//! The Kafka that the tools look into: which one, and a connection that says what keeps it from answering.

use std::{
    cell::Cell,
    collections::HashMap,
    io::Write,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
    message::BorrowedMessage,
    metadata::Metadata,
};

use crate::addresses::Addresses;

/// How long one answer may take.
pub const ANSWER: Duration = Duration::from_secs(10);
/// How often a wait says that it goes on.
const PROGRESS: Duration = Duration::from_secs(5);
/// The longest wait for a complaint once a question wasn't answered.
const COMPLAINT: Duration = Duration::from_millis(200);

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
    /// The Kafka that is named, or the local run's.
    ///
    /// # Errors
    /// None is named and no shop runs here.
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
        Ok(Cluster { bootstrap })
    }
}

/// A Kafka, by its address.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// `host:port`, several with commas between.
    pub bootstrap: String,
}

impl Cluster {
    /// The settings of a client of any kind.
    pub fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.bootstrap).set("client.id", "quadrille");
        client.set("reconnect.backoff.max.ms", "1000");
        client
    }

    /// A connection that reads and asks as `group`. It joins no group and commits nothing.
    ///
    /// # Errors
    /// The settings are refused.
    pub fn connect(&self, group: &str) -> anyhow::Result<Connection> {
        let mut client = self.client();
        client.set("group.id", group).set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
        client.set("enable.partition.eof", "true");
        let consumer = client.create_with_context(Complaints::default()).context("Kafka's client")?;
        Ok(Connection { consumer, bootstrap: self.bootstrap.clone(), ends: Cell::new(0) })
    }
}

/// Remembers what librdkafka complained of last; it would say it again and again.
#[derive(Default)]
pub struct Complaints(Mutex<Option<String>>);

impl Complaints {
    fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Complaints {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        // "all brokers are down" comes after the reason, and says less.
        let says_nothing = error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::AllBrokersDown);
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !says_nothing || last.is_none() {
            *last = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Complaints {}

/// A connection to a Kafka. Everything here blocks.
pub struct Connection {
    /// What reads.
    pub consumer: BaseConsumer<Complaints>,
    bootstrap: String,
    ends: Cell<usize>,
}

impl Connection {
    /// All topics, once a broker answers.
    ///
    /// # Errors
    /// None does within `patience`: says what the client complained of.
    pub fn metadata(&self, patience: Duration) -> anyhow::Result<Metadata> {
        let (began, mut told) = (Instant::now(), Instant::now());
        loop {
            let left = patience.saturating_sub(began.elapsed());
            let error = match self.consumer.fetch_metadata(None, left.min(Duration::from_secs(2))) {
                Ok(metadata) if !metadata.brokers().is_empty() => return Ok(metadata),
                Ok(_) => "no broker is in the cluster yet".to_owned(),
                Err(error) => self.complaint().unwrap_or_else(|| error.to_string()),
            };
            let bootstrap = &self.bootstrap;
            if began.elapsed() >= patience {
                anyhow::bail!("Kafka at {bootstrap} does not answer: {error}");
            }
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                let left = patience.saturating_sub(began.elapsed()).as_secs();
                writeln!(std::io::stderr(), "waiting for Kafka at {bootstrap}, {left} s more: {error}")?;
            }
            std::thread::sleep(Duration::from_millis(250).min(left));
        }
    }

    /// What the client complained of last.
    pub fn complaint(&self) -> Option<String> {
        // Complaints are delivered by polling.
        let until = Instant::now() + COMPLAINT;
        while Instant::now() < until {
            drop(self.consumer.poll(Duration::from_millis(10)));
        }
        self.consumer.context().last()
    }

    /// The next record, or why there is none; nothing where none comes in time.
    ///
    /// # Errors
    /// The client can't go on.
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
            Some(Err(error)) => Ok(Some(Err(self.consumer.context().last().unwrap_or_else(|| error.to_string())))),
        }
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
    ///
    /// # Errors
    /// The brokers don't answer in time.
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
