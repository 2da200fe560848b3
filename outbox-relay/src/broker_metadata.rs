//! Questions to the brokers about a topic.

use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::error::KafkaError;
use service_kit::kafka::Principal;
use service_kit::kafka::client_log::Logged;
use service_kit::kafka::principal::Asked;

/// How long the brokers may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A client that asks the brokers.
pub(crate) struct BrokerMetadata {
    client: AdminClient<Logged>,
    principal: Principal,
}

impl BrokerMetadata {
    pub fn new(config: &ClientConfig) -> anyhow::Result<Self> {
        let client = config.create_with_context(Logged).context("Kafka's client")?;
        Ok(Self { client, principal: Principal::of(config) })
    }

    /// What the topic does with old records (`cleanup.policy`).
    pub async fn cleanup_policy(&self, topic: &str) -> anyhow::Result<String> {
        let options = AdminOptions::new().request_timeout(Some(ANSWER));
        let asked = self.client.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await;
        let told = asked.with_context(|| format!("Kafka does not answer what {topic} does with old records"))?;
        // The client leaves out why a topic has no settings, so what there is must be told apart otherwise.
        let settings = told.into_iter().next().and_then(Result::ok);
        let policy = settings.as_ref().and_then(|settings| settings.get("cleanup.policy")?.value.clone());
        match policy {
            Some(policy) => Ok(policy),
            None => bail!("{}", self.why_untold(topic)?),
        }
    }

    /// Why the brokers tell nothing of the topic's settings. Blocks.
    fn why_untold(&self, topic: &str) -> anyhow::Result<String> {
        let metadata = self.client.inner().fetch_metadata(Some(topic), ANSWER);
        let metadata = metadata.with_context(|| format!("Kafka does not tell the partitions of {topic}"))?;
        Ok(match Asked::of(&metadata, topic) {
            Asked::Missing => format!("there is no topic {topic}: create it first"),
            Asked::Forbidden => self.principal.may_not(&format!("see {topic}")),
            Asked::There(_) => {
                self.principal.may_not(&format!("see the settings of {topic} (the right DescribeConfigs)"))
            }
        })
    }

    /// How many records lie in the topic, from the ends of its partitions. Blocks.
    pub fn records(&self, topic: &str) -> anyhow::Result<i64> {
        let of = |partition| {
            let (first, end) = self.client.inner().fetch_watermarks(topic, partition, ANSWER)?;
            Ok(end - first)
        };
        let counted: Result<i64, KafkaError> = self.partitions(topic)?.into_iter().map(of).sum();
        counted.with_context(|| format!("Kafka does not tell how much is in {topic}"))
    }

    /// None where there is no such topic. Blocks.
    fn partitions(&self, topic: &str) -> anyhow::Result<Vec<i32>> {
        let metadata = self.client.inner().fetch_metadata(Some(topic), ANSWER);
        let metadata = metadata.with_context(|| format!("Kafka does not tell the partitions of {topic}"))?;
        let partitions = metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions);
        Ok(partitions.map(rdkafka::metadata::MetadataPartition::id).collect())
    }
}
