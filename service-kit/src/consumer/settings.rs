//! How a consumer is set up.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::topic_recreation;
use crate::config::KafkaConfig;
use crate::kafka::Brokers;

/// What a consumer needs to know. [`ConsumerConfig::new`] has the values that suit a service.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// The consumer group, which is the service's name: also the consumer's name in inbox and dead letters.
    pub group: String,
    /// The brokers.
    pub brokers: Brokers,
    /// Static membership, where it is given: a member that comes back within six seconds finds its partitions.
    pub group_instance_id: Option<String>,
    /// How long the brokers may stay away at the start before the consumer gives up.
    pub start: Duration,
    /// For how long archives keep what was published. The inbox reaches as far as these and the topics that are heard, and a
    /// day.
    pub archived: Option<Duration>,
    /// A lane that holds as many records is full: its partition is paused until a quarter of them is handled.
    pub lane_records: usize,
    /// So many bytes of memory fill a lane too.
    pub lane_bytes: usize,
    /// The most records that go into one transaction.
    pub batch_records: usize,
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
            // what a lane still holds when its partition goes on keeps it busy until the fetch that is waiting then is over,
            // at 3,000 records a second
            lane_records: 2048,
            lane_bytes: 2 * 1024 * 1024,
            batch_records: 64,
            drain: Duration::from_secs(10),
        }
    }

    /// The same, where what was published may come again from an archive for so long.
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
            // a killed member is missed in seconds
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "1500")
            .set("auto.offset.reset", "earliest")
            // offsets are stored once their transaction is committed, and go to the broker every second
            .set("enable.auto.offset.store", "false")
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "1000")
            // memory: the defaults prefetch 100,000 records and 64 MiB
            .set("queued.min.messages", "1000")
            .set("queued.max.messages.kbytes", "8192")
            .set("fetch.max.bytes", "4194304")
            // so long a broker keeps a fetch for which there is nothing; what comes is answered with at once. A resumed
            // partition is asked for only when the fetch before has been answered
            .set("fetch.wait.max.ms", "500")
            .set("fetch.queue.backoff.ms", "50")
            // topics that are made later are found soon
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("reconnect.backoff.max.ms", "2000");
        // what cuts a connection off is logged, and that a topic was made anew, and told to nobody in another way
        client.set("debug", topic_recreation::DEBUG).set_log_level(RDKafkaLogLevel::Debug);
        if let Some(instance) = &self.group_instance_id {
            client.set("group.instance.id", instance);
        }
        client
    }
}
