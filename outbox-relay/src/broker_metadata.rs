//! Questions to the brokers about a topic.

use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::error::KafkaError;
use service_kit::kafka::client_log::Logged;

/// How long the brokers may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A client that asks the brokers.
pub(crate) struct BrokerMetadata(AdminClient<Logged>);

impl BrokerMetadata {
    pub fn new(config: &ClientConfig) -> anyhow::Result<Self> {
        Ok(Self(config.create_with_context(Logged).context("Kafka's client")?))
    }

    /// What the topic does with old records (`cleanup.policy`).
    pub async fn cleanup_policy(&self, topic: &str) -> anyhow::Result<String> {
        let options = AdminOptions::new().request_timeout(Some(ANSWER));
        let asked = self.0.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await;
        let told = asked.with_context(|| format!("Kafka does not answer what {topic} does with old records"))?;
        // The client leaves out why a topic has no settings, so what there is must be told apart otherwise.
        let settings = told.into_iter().next().and_then(Result::ok);
        let policy = settings.as_ref().and_then(|settings| settings.get("cleanup.policy")?.value.clone());
        match policy {
            Some(policy) => Ok(policy),
            None if self.partitions(topic)?.is_empty() => bail!("there is no topic {topic}: create it first"),
            None => bail!("Kafka does not tell the cleanup.policy of {topic}: this needs the right DescribeConfigs"),
        }
    }

    /// How many records lie in the topic, from the ends of its partitions. Blocks.
    pub fn records(&self, topic: &str) -> anyhow::Result<i64> {
        let of = |partition| {
            let (first, end) = self.0.inner().fetch_watermarks(topic, partition, ANSWER)?;
            Ok(end - first)
        };
        let counted: Result<i64, KafkaError> = self.partitions(topic)?.into_iter().map(of).sum();
        counted.with_context(|| format!("Kafka does not tell how much is in {topic}"))
    }

    /// None where there is no such topic. Blocks.
    fn partitions(&self, topic: &str) -> anyhow::Result<Vec<i32>> {
        let metadata = self.0.inner().fetch_metadata(Some(topic), ANSWER);
        let metadata = metadata.with_context(|| format!("Kafka does not tell the partitions of {topic}"))?;
        let partitions = metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions);
        Ok(partitions.map(rdkafka::metadata::MetadataPartition::id).collect())
    }
}
