//! Finds partitions that no member of the group owns.
//!
//! A static member that rejoins in time gets its partitions back without a rebalance. From then on no member of the
//! group checks for new topics (that is KIP-814, which librdkafka lacks). A topic that was created or first
//! subscribed to while the member was away would have no reader until the next rebalance. So each member that doesn't
//! own every partition checks whether other members own the rest, and forces a rebalance if none does.

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
use super::watch::tell_forbidden;
use crate::kafka::principal::Asked;
use crate::kafka::{Principal, assignment};

/// How long a request to the brokers may take. After that, the next round asks again.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the group is described. Only a partition that has no owner in two looks counts as unclaimed: in one look
/// it may be between owners.
const LOOK: Duration = Duration::from_secs(3);
/// How long to wait before forcing another rebalance. If partitions are unclaimed again sooner, the last one did not
/// help.
const AGAIN: Duration = Duration::from_secs(60);
/// The group state that brokers report when no rebalance is under way.
const STABLE: &str = "Stable";

/// Finds partitions that no member of the group owns, and forces a rebalance for them.
pub(crate) struct PartitionClaim {
    /// This member's `group.instance.id`, if it is a static member.
    instance: Option<String>,
    principal: Principal,
    looked: Option<Instant>,
    shared_out: Option<Instant>,
    unclaimed: BTreeSet<String>,
}

/// The number of partitions by topic.
type Counts = BTreeMap<String, usize>;

impl PartitionClaim {
    pub const fn new(instance: Option<String>, principal: Principal) -> Self {
        Self { instance, principal, looked: None, shared_out: None, unclaimed: BTreeSet::new() }
    }

    /// Forces a rebalance if a topic has had partitions without an owner for two looks. `owned` are this member's.
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
                tracing::warn!(topic, "the topic no longer exists; it is read once it is created");
            }
        }
        for topic in &found.forbidden {
            if handle.note_forbidden(topic) {
                tell_forbidden(&self.principal, topic);
            }
        }
        let since_before = self.unclaimed.intersection(&found.unclaimed).next().cloned();
        self.unclaimed = found.unclaimed;
        if let Some(topic) = since_before.filter(|_| self.shared_out.is_none_or(|at| at.elapsed() >= AGAIN)) {
            tracing::warn!(topics = ?self.unclaimed, "no member owns the partitions of these topics: a rebalance is forced");
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
    /// Topics that this client's principal may not read.
    forbidden: Vec<String>,
    /// Topics with partitions that no member has.
    unclaimed: BTreeSet<String>,
}

/// Which of these topics don't exist, may not be read or have unclaimed partitions; `own` are this member's counts. Blocks.
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
        match Asked::of(&metadata, &topic) {
            Asked::Missing => found.missing.push(topic),
            Asked::Forbidden => found.forbidden.push(topic),
            Asked::There(count) => drop(there.insert(topic, count)),
        }
    }
    if there.is_empty() {
        return Ok(found);
    }
    let groups = consumer.fetch_group_list(Some(group), PATIENCE).context("asking for the group's members")?;
    let Some(group) = groups.groups().iter().find(|found| found.name() == group && found.state() == STABLE) else {
        return Ok(found);
    };
    // Some brokers, such as the embedded one, report no assignments at all. Apache Kafka reports one for every
    // member, even for a member without partitions.
    if group.members().iter().all(|member| member.assignment().unwrap_or_default().is_empty()) {
        return Ok(found);
    }
    // For this member its own assignment counts, not the brokers': the brokers may list partitions that it never
    // received.
    let mut claimed = instance.map_or_else(Counts::new, |_| own);
    let told = group.members().iter().filter(|member| instance != Some(member.client_id()));
    for (topic, partitions) in told.flat_map(|member| assignment::partitions(member.assignment().unwrap_or_default())) {
        *claimed.entry(topic).or_default() += partitions;
    }
    let is_unclaimed = |(topic, count): &(String, usize)| claimed.get(topic).is_none_or(|claimed| claimed < count);
    found.unclaimed = there.into_iter().filter(is_unclaimed).map(|(topic, _)| topic).collect();
    Ok(found)
}

/// Forces a rebalance by changing the subscription and changing it back: a known member whose subscription changes
/// makes the group rebalance.
fn share_out_anew(consumer: &BaseConsumer<Context>, heard: &[&str], unclaimed: &str) -> anyhow::Result<()> {
    let nothing = format!("{unclaimed}.nobody"); // stands in for a second topic if only one is subscribed to
    let mut others: Vec<_> = heard.iter().copied().filter(|topic| *topic != unclaimed).collect();
    if others.is_empty() {
        others = vec![unclaimed, &nothing];
    }
    consumer.subscribe(&others).context("forcing a rebalance")?;
    consumer.subscribe(heard).context("forcing a rebalance")
}
