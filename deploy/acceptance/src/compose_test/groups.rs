//! Kafka's consumer groups, as any client sees them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, TopicPartitionList};

use service_kit::kafka::assignment;

use super::{shell::a_moment, stack::KAFKA};

const PATIENCE: Duration = Duration::from_secs(15);

/// How many partitions each member has, by group.
pub(super) type Shares = BTreeMap<&'static str, Vec<usize>>;

/// Waits until every group has so many members that all have partitions, in sum as many as they had `before`. Returns
/// the shares.
pub(super) async fn shared_by(
    groups: &'static [&'static str],
    members: usize,
    before: Option<&Shares>,
    within: Duration,
) -> anyhow::Result<Shares> {
    let until = Instant::now() + within;
    loop {
        let found = tokio::task::spawn_blocking(move || partitions_of(groups)).await?;
        let sum = |shares: &Vec<usize>| shares.iter().sum::<usize>();
        let fits = |(group, shares): (&&str, &Vec<usize>)| {
            let all = before.and_then(|before| before.get(group)).is_none_or(|before| sum(before) == sum(shares));
            all && shares.len() == members && shares.iter().all(|share| *share > 0)
        };
        match found {
            Ok(found) if found.iter().all(fits) => return Ok(found),
            last if Instant::now() >= until => {
                bail!("expected {members} members with partitions in each group after {} s: {last:?}", within.as_secs())
            }
            _ => a_moment().await,
        }
    }
}

fn partitions_of(groups: &[&'static str]) -> anyhow::Result<Shares> {
    let client = client("quadrille-compose-test")?;
    let mut found = BTreeMap::new();
    for name in groups {
        let list = client.fetch_group_list(Some(name), PATIENCE).with_context(|| format!("asking for group {name}"))?;
        let group = list.groups().iter().find(|group| group.name() == *name);
        let group = group.with_context(|| format!("there is no group {name}"))?;
        let mut shares: Vec<_> = group
            .members()
            .iter()
            .map(|member| assignment::partitions(member.assignment().unwrap_or_default()).values().sum())
            .collect();
        shares.sort_unstable();
        found.insert(*name, shares);
    }
    Ok(found)
}

/// How many records of the group's topics it has not handled.
pub(super) async fn lag(group: &'static str) -> anyhow::Result<i64> {
    tokio::task::spawn_blocking(move || {
        let client = client(group)?;
        let metadata = client.fetch_metadata(None, PATIENCE)?;
        let mut partitions = TopicPartitionList::new();
        for topic in metadata.topics().iter().filter(|topic| !topic.name().starts_with("__")) {
            for partition in topic.partitions() {
                partitions.add_partition(topic.name(), partition.id());
            }
        }
        let mut behind = 0;
        for place in client.committed_offsets(partitions, PATIENCE)?.elements() {
            // where a group never committed it hears nothing
            if let Some(next) = place.offset().to_raw().filter(|offset| *offset >= 0) {
                let (_, end) = client.fetch_watermarks(place.topic(), place.partition(), PATIENCE)?;
                behind += end - next;
            }
        }
        Ok(behind)
    })
    .await?
}

/// Every topic's number of partitions.
pub(super) async fn topics() -> anyhow::Result<BTreeMap<String, usize>> {
    tokio::task::spawn_blocking(|| {
        let metadata = client("quadrille-compose-test")?.fetch_metadata(None, PATIENCE)?;
        Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect())
    })
    .await?
}

fn client(group: &str) -> anyhow::Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", KAFKA).set("group.id", group).set("enable.auto.commit", "false");
    config.create().context("a Kafka client")
}
