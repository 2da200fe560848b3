//! Partitions that nobody has.
//!
//! A static member that comes back in time is given what it had, without a rebalance, and from then on no member of its
//! group looks whether there are more topics (KIP-814, which librdkafka lacks). A topic that was made, or first heard,
//! while it was away would be read by nobody for as long as all goes well. So whoever lacks a partition looks whether
//! another member has it, and has the group share out anew when none does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::ConsumerHandle;
use super::lanes::Partition;
use super::poll::Context;
use crate::kafka::assignment;

/// A broker that takes longer is asked again in the next round.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the group is looked at. What is nobody's twice is not just under way.
const LOOK: Duration = Duration::from_secs(3);
/// Sharing out anew did not help if there is something to share out so soon after.
const AGAIN: Duration = Duration::from_secs(60);
/// What the brokers say of a group that isn't being rebalanced.
const STABLE: &str = "Stable";

/// Looks after the partitions that are nobody's.
pub(crate) struct PartitionClaim {
    /// This member's name, if it has one.
    instance: Option<String>,
    looked: Option<Instant>,
    shared_out: Option<Instant>,
    unclaimed: BTreeSet<String>,
}

/// Partitions by topic.
type Counts = BTreeMap<String, usize>;

impl PartitionClaim {
    pub const fn new(instance: Option<String>) -> Self {
        Self { instance, looked: None, shared_out: None, unclaimed: BTreeSet::new() }
    }

    /// Has the group share out anew when topics have partitions that nobody has for a while. `owned` are this member's.
    pub async fn look(
        &mut self,
        consumer: &Arc<BaseConsumer<Context>>,
        handle: &ConsumerHandle,
        owned: impl Iterator<Item = &Partition>,
    ) -> anyhow::Result<()> {
        let mut own = Counts::new();
        owned.for_each(|(topic, _)| *own.entry(topic.clone()).or_default() += 1);
        let has_all = |topic: &str| {
            let all = handle.partitions(topic).and_then(|all| usize::try_from(all).ok());
            all.is_none_or(|all| own.get(topic).copied().unwrap_or_default() >= all)
        };
        let heard: Vec<_> = handle.subscriptions().iter().map(|heard| heard.topic.as_str()).collect();
        let lacking: Vec<_> = heard.iter().filter(|topic| !has_all(topic)).map(|topic| (*topic).to_owned()).collect();
        if lacking.is_empty() || self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let (asked, group, instance) = (Arc::clone(consumer), handle.group().to_owned(), self.instance.clone());
        let found = spawn_blocking(move || look_at(&asked, &group, instance.as_deref(), own, lacking)).await??;
        for topic in &found.missing {
            if handle.note_missing(topic) {
                tracing::warn!(topic, "the topic is gone: it is heard once it is made");
            }
        }
        let since_before = self.unclaimed.intersection(&found.unclaimed).next().cloned();
        self.unclaimed = found.unclaimed;
        if let Some(topic) = since_before.filter(|_| self.shared_out.is_none_or(|at| at.elapsed() >= AGAIN)) {
            tracing::warn!(topics = ?self.unclaimed, "nobody has these topics: the group shares its partitions out anew");
            self.shared_out = Some(Instant::now());
            share_out_anew(consumer, &heard, &topic)?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Found {
    /// Topics that the brokers don't have.
    missing: Vec<String>,
    /// Topics with partitions that no member has.
    unclaimed: BTreeSet<String>,
}

/// Which of these topics are missing or unclaimed; `own` are this member's partitions. Blocks.
fn look_at(
    consumer: &BaseConsumer<Context>,
    group: &str,
    instance: Option<&str>,
    own: Counts,
    topics: Vec<String>,
) -> anyhow::Result<Found> {
    let (mut found, mut there) = (Found::default(), Counts::new());
    for topic in topics {
        let metadata = consumer.fetch_metadata(Some(&topic), PATIENCE)?;
        match metadata.topics().iter().find(|known| known.name() == topic).map_or(0, |t| t.partitions().len()) {
            0 => found.missing.push(topic),
            count => drop(there.insert(topic, count)),
        }
    }
    if there.is_empty() {
        return Ok(found);
    }
    let groups = consumer.fetch_group_list(Some(group), PATIENCE).context("asking for the group's members")?;
    let Some(group) = groups.groups().iter().find(|found| found.name() == group && found.state() == STABLE) else {
        return Ok(found);
    };
    // A broker that doesn't tell who has what, as the embedded one, says nothing of anybody. Kafka's own tell of each
    // member, even of one that has nothing.
    if group.members().iter().all(|member| member.assignment().unwrap_or_default().is_empty()) {
        return Ok(found);
    }
    // what a static member has by the brokers' word alone it won't get
    let mut claimed = instance.map_or_else(Counts::new, |_| own);
    let told = group.members().iter().filter(|member| instance != Some(member.client_id()));
    for (topic, partitions) in told.flat_map(|member| assignment::partitions(member.assignment().unwrap_or_default())) {
        *claimed.entry(topic).or_default() += partitions;
    }
    let is_unclaimed = |(topic, count): &(String, usize)| claimed.get(topic).is_none_or(|claimed| claimed < count);
    found.unclaimed = there.into_iter().filter(is_unclaimed).map(|(topic, _)| topic).collect();
    Ok(found)
}

/// A member that the group knows, and that wants other topics than before, makes it share out anew.
fn share_out_anew(consumer: &BaseConsumer<Context>, heard: &[&str], unclaimed: &str) -> anyhow::Result<()> {
    let nothing = format!("{unclaimed}.nobody"); // who hears one topic has no other to do without
    let mut others: Vec<_> = heard.iter().copied().filter(|topic| *topic != unclaimed).collect();
    if others.is_empty() {
        others = vec![unclaimed, &nothing];
    }
    consumer.subscribe(&others).context("sharing out anew")?;
    consumer.subscribe(heard).context("sharing out anew")
}
