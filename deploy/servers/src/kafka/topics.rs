//! Topics, made on purpose.

use std::{collections::HashMap, fmt, time::Duration};

use anyhow::{Context, bail};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    types::RDKafkaErrorCode,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A topic that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions it gets when it is made.
    pub partitions: i32,
    /// Its settings, as Kafka names them; what isn't here is the broker's default.
    pub config: Vec<(String, String)>,
}

/// A topic that was there before, with fewer partitions than wanted. It is left alone: more partitions would send a
/// key's later events elsewhere than its earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooFewPartitions {
    /// Its name.
    pub topic: String,
    /// How many were wanted.
    pub wanted: usize,
    /// How many it has.
    pub found: usize,
}

impl fmt::Display for TooFewPartitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {} has {} partitions instead of {}", self.topic, self.found, self.wanted)
    }
}

/// Makes the topics that aren't there, and reports those that have too few partitions.
///
/// # Errors
/// When the broker doesn't answer within 20 seconds, or refuses a topic.
pub async fn ensure_topics(bootstrap: &str, topics: &[Topic]) -> anyhow::Result<Vec<TooFewPartitions>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    let admin: AdminClient<DefaultClientContext> = config.create().context("Kafka's admin client")?;
    let wanted: Vec<_> = topics
        .iter()
        .map(|topic| {
            let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(1));
            topic.config.iter().fold(new, |new, (key, value)| new.set(key, value))
        })
        .collect();
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    for outcome in admin.create_topics(&wanted, &options).await.context("making topics")? {
        match outcome {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => bail!("topic {topic} can't be made: {code}"),
        }
    }
    let found = partition_counts(config).await?;
    Ok(topics.iter().filter_map(|topic| too_few(topic, &found)).collect())
}

fn too_few(topic: &Topic, found: &HashMap<String, usize>) -> Option<TooFewPartitions> {
    let wanted = usize::try_from(topic.partitions).unwrap_or(0);
    // a topic that was made just now may not be in the metadata yet, and has what it was given
    let found = found.get(&topic.name).copied().filter(|&found| found > 0)?;
    (found < wanted).then(|| TooFewPartitions { topic: topic.name.clone(), wanted, found })
}

async fn partition_counts(config: ClientConfig) -> anyhow::Result<HashMap<String, usize>> {
    tokio::task::spawn_blocking(move || {
        let client: BaseConsumer = config.create()?;
        let metadata = client.fetch_metadata(None, PATIENCE).context("asking Kafka for its topics")?;
        Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect())
    })
    .await?
}
