//! Makes topics on purpose, and never changes one that is there.

use std::{collections::HashMap, io::Write, time::Duration};

use anyhow::{Context, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;
use service_kit::kafka::Principal;
use service_kit::kafka::principal::lacks_rights;

use super::Topic;
use crate::cluster::Cluster;

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Topics that weren't there.
    pub created: Vec<String>,
    /// How many were there.
    pub there: usize,
    /// Settings that are others than wanted, and are left as they are.
    pub warnings: Vec<String>,
}

/// What a cluster has.
struct Found {
    brokers: usize,
    /// Partition counts by topic.
    topics: HashMap<String, usize>,
}

/// Makes the topics of `wanted` that aren't there, each partition on `replication` brokers. If topics are there with
/// too few partitions, it tells them on the error stream, makes nothing, and fails. It also fails if no broker answers
/// within `patience`, or if the brokers refuse a topic.
pub async fn ensure(cluster: &Cluster, wanted: &[Topic], replication: i32, patience: Duration) -> anyhow::Result<Made> {
    let asked = cluster.clone();
    let found = tokio::task::spawn_blocking(move || find(&asked, patience)).await??;
    refuse_too_few(wanted, &found)?;
    if usize::try_from(replication).is_ok_and(|copies| copies > found.brokers) {
        bail!(
            "--replication {replication} needs as many brokers, and there are {}: nothing was created; choose a smaller \
             number, or wait for the others",
            found.brokers
        );
    }
    let admin: AdminClient<DefaultClientContext> = cluster.client().create().context("Kafka's admin client")?;
    let (there, missing): (Vec<_>, Vec<_>) = wanted.iter().partition(|topic| found.topics.contains_key(&topic.name));
    let warnings = differing(&admin, &there).await?;
    let created = create(&admin, &missing, replication, &cluster.0.principal()).await?;
    Ok(Made { created, there: there.len(), warnings })
}

fn find(cluster: &Cluster, patience: Duration) -> anyhow::Result<Found> {
    let metadata = cluster.connect("quadrille-topics")?.metadata(patience)?;
    // One that is being made by somebody else has no partitions for a moment; the brokers will say that it is there.
    let topics = metadata.topics().iter().filter(|topic| !topic.partitions().is_empty());
    Ok(Found {
        brokers: metadata.brokers().len(),
        topics: topics.map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect(),
    })
}

/// More partitions would send later events of a key elsewhere than its earlier ones, so nothing is altered here.
fn refuse_too_few(wanted: &[Topic], found: &Found) -> anyhow::Result<()> {
    let mut few = 0;
    for Topic { name, partitions, .. } in wanted {
        let Some(has) = found.topics.get(name) else { continue };
        if usize::try_from(*partitions).is_ok_and(|partitions| *has < partitions) {
            few += 1;
            writeln!(
                std::io::stderr(),
                "topic {name} has {has} partitions instead of {partitions}, and more would send later events of a key \
                 elsewhere than its earlier ones: take no orders until every lag is 0 (quadrille topics), stop the \
                 services, then add partitions (kafka-topics.sh --alter --topic {name} --partitions {partitions}) or \
                 delete the topic, and run this again"
            )?;
        }
    }
    match few {
        0 => Ok(()),
        1 => bail!("a topic has too few partitions: nothing was created or altered"),
        few => bail!("{few} topics have too few partitions: nothing was created or altered"),
    }
}

/// A line for each setting that is another than wanted.
async fn differing(admin: &AdminClient<DefaultClientContext>, there: &[&Topic]) -> anyhow::Result<Vec<String>> {
    if there.is_empty() {
        return Ok(Vec::new());
    }
    let asked: Vec<_> = there.iter().map(|topic| ResourceSpecifier::Topic(&topic.name)).collect();
    let answers = admin.describe_configs(&asked, &options()).await.context("asking Kafka for topics' settings")?;
    let mut lines = Vec::new();
    for (topic, answer) in there.iter().zip(answers) {
        let name = &topic.name;
        let settings = match answer {
            Ok(settings) => settings,
            Err(code) => {
                lines.push(format!("the settings of topic {name} are not known: {code}"));
                continue;
            }
        };
        for (setting, wanted) in &topic.config {
            let found = settings.get(setting).and_then(|entry| entry.value.as_deref()).unwrap_or_default();
            if found != wanted {
                lines.push(format!(
                    "topic {name} has {setting}={found} instead of {wanted}; it is left as it is (kafka-configs.sh \
                     --alter --topic {name} --add-config {setting}={wanted} changes it)"
                ));
            }
        }
    }
    Ok(lines)
}

async fn create(
    admin: &AdminClient<DefaultClientContext>,
    missing: &[&Topic],
    replication: i32,
    principal: &Principal,
) -> anyhow::Result<Vec<String>> {
    let new = missing.iter().map(|topic| {
        let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(replication));
        topic.config.iter().fold(new, |new, (setting, value)| new.set(setting, value))
    });
    let new: Vec<_> = new.collect();
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let (mut created, mut refused) = (Vec::new(), Vec::new());
    for outcome in admin.create_topics(&new, &options()).await.context("making topics")? {
        match outcome {
            Ok(topic) => created.push(topic),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {} // by another who does the same
            Err((_, code)) if lacks_rights(code) => bail!("{}", principal.may_not("make topics")),
            Err((topic, code)) => refused.push(format!("{topic} ({code})")),
        }
    }
    if refused.is_empty() { Ok(created) } else { bail!("topics that can't be made: {}", refused.join(", ")) }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}
