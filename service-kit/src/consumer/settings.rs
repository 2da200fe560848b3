use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::topic_recreation;
use crate::config::KafkaConfig;
use crate::kafka::Brokers;

/// The consumer's settings. [`ConsumerConfig::new`] has the values that suit a service.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// The consumer group: the service's name, which also names the consumer in the inbox and in dead letters.
    pub group: String,
    /// The brokers.
    pub brokers: Brokers,
    /// Makes the member static, if given: a member that rejoins within six seconds keeps its partitions.
    pub group_instance_id: Option<String>,
    /// How long the consumer waits at the start for brokers that don't answer.
    pub start: Duration,
    /// For how long archives keep published events. The inbox reaches back as far as the archives and the consumed
    /// topics do, plus a day.
    pub archived: Option<Duration>,
    /// A lane that holds this many records is full: its partition is paused until a quarter of them is handled.
    pub lane_records: usize,
    /// A lane whose records take this many bytes of memory is full too.
    pub lane_bytes: usize,
    /// The most records that a lane has handled at once.
    pub batch_records: usize,
    /// The most records in a transaction that lanes share.
    pub shared_records: usize,
    /// How many transactions lanes share at a time: a lane that has work meanwhile shares the next one with all that have.
    pub transactions: usize,
    /// How long a lane may take to finish the batch it has in hand when its partition is taken away.
    pub drain: Duration,
}

impl ConsumerConfig {
    /// A consumer of `group`.
    pub fn new(group: impl Into<String>, kafka: &KafkaConfig) -> Self {
        Self {
            group: group.into(),
            brokers: kafka.brokers.clone(),
            group_instance_id: kafka.group_instance_id.clone(),
            start: Duration::from_secs(120),
            archived: None,
            // A paused partition gets its next records only after the fetch that is then waiting returns. What a lane
            // still holds when its partition resumes keeps it busy for that time, at 3,000 records a second.
            lane_records: 2048,
            lane_bytes: 2 * 1024 * 1024,
            batch_records: 64,
            shared_records: 256,
            transactions: 1,
            drain: Duration::from_secs(10),
        }
    }

    /// The same settings, for events that an archive may replay for so long.
    #[must_use]
    pub fn archived(self, archived: Option<Duration>) -> Self {
        Self { archived, ..self }
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut client = self.brokers.client();
        client
            .set("group.id", &self.group)
            .set("client.id", self.group_instance_id.as_ref().unwrap_or(&self.group))
            .set("partition.assignment.strategy", "cooperative-sticky")
            // The group notices within seconds that a member was killed.
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "1500")
            .set("auto.offset.reset", "earliest")
            // An offset is stored once its transaction is committed, and librdkafka commits it every second.
            .set("enable.auto.offset.store", "false")
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "1000")
            // This limits memory: by default librdkafka prefetches 100,000 records and 64 MiB.
            .set("queued.min.messages", "1000")
            .set("queued.max.messages.kbytes", "8192")
            .set("fetch.max.bytes", "4194304")
            // A broker holds an empty fetch for this long and answers at once when a record arrives. A resumed
            // partition joins the next fetch, so this also limits how long it waits.
            .set("fetch.wait.max.ms", "500")
            .set("fetch.queue.backoff.ms", "50")
            // Topics that are created later are found within this time.
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("reconnect.backoff.max.ms", "2000");
        // librdkafka reports some things only in its log: why a connection was cut off, and that a topic was created
        // anew.
        client.set("debug", topic_recreation::DEBUG).set_log_level(RDKafkaLogLevel::Debug);
        if let Some(instance) = &self.group_instance_id {
            client.set("group.instance.id", instance);
        }
        client
    }
}
