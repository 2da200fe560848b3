//! Asks every second where the partitions end (every five seconds while nothing arrives) and notes up to which time
//! each has been read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::claim::PartitionClaim;
use super::lanes::{Lanes, Partition};
use super::poll::Context;
use super::progress::{self, CaughtUp};
use super::{ConsumerHandle, Subscription};
use crate::Pool;
use crate::kafka::Principal;
use crate::kafka::principal::Asked;
use crate::retry::Recurring;

const EVERY: Duration = Duration::from_secs(1);
/// The interval while nothing arrives and no timer waits for the progress.
const IDLE: Duration = Duration::from_secs(5);
/// How long the brokers or the database may take. After that, the next round asks again.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the partitions of known topics are counted again.
const REFRESH: Duration = Duration::from_secs(60);

pub(crate) struct Watch {
    handle: ConsumerHandle,
    pool: Pool,
    marks: HashMap<Partition, Mark>,
    /// Up to when each partition is known to have been read, by this instance or another; for one that nobody has read, when
    /// that was asked first.
    read_until: HashMap<Partition, DateTime<Utc>>,
    /// The partitions whose lag gauge was set last.
    measured: Vec<Partition>,
    refreshed: Option<Instant>,
    claim: PartitionClaim,
    /// What was handled at the last round, if nothing was left to handle.
    at_rest: Option<HashMap<Partition, Option<i64>>>,
    idle: bool,
    failures: Recurring,
    principal: Principal,
}

/// A target: once everything before `end` is handled, the partition has been read up to the time `at`.
#[derive(Clone, Copy)]
struct Mark {
    at: DateTime<Utc>,
    end: i64,
}

/// A partition's first offset, its end, and the offset that the group has committed.
struct Bounds {
    low: i64,
    end: i64,
    committed: Option<i64>,
}

impl Watch {
    pub fn new(handle: ConsumerHandle, pool: Pool, instance: Option<String>, principal: Principal) -> Self {
        Self {
            handle,
            pool,
            marks: HashMap::new(),
            read_until: HashMap::new(),
            measured: Vec::new(),
            refreshed: None,
            claim: PartitionClaim::new(instance, principal.clone()),
            at_rest: None,
            idle: false,
            failures: Recurring::default(),
            principal,
        }
    }

    pub async fn run(mut self, consumer: Arc<BaseConsumer<Context>>, lanes: Arc<Lanes>, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.round(&consumer, &lanes) => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.rest() => {}
            }
        }
    }

    /// Waits for the next round. Whoever wants the progress ends an idle rest.
    async fn rest(&self) {
        sleep(EVERY).await;
        if self.idle {
            tokio::select! {
                () = sleep(IDLE - EVERY) => {}
                () = self.handle.progress_wanted() => {}
            }
        }
    }

    /// A step that fails doesn't stop the next one.
    async fn round(&mut self, consumer: &Arc<BaseConsumer<Context>>, lanes: &Lanes) {
        let progress = self.note_progress(consumer, lanes).await;
        if self.failures.is_news(&progress)
            && let Err(error) = &progress
        {
            tracing::warn!(error = %format!("{error:#}"), "the consumer's progress can't be measured now");
        }
        self.idle = progress.unwrap_or(false);
        if let Err(error) = self.claim.look(consumer, &self.handle, lanes.handled().keys()).await {
            tracing::debug!(error = %format!("{error:#}"), "unclaimed partitions can't be looked for now");
        }
    }

    /// Returns whether nothing has arrived since the last round and nothing is left to handle.
    async fn note_progress(&mut self, consumer: &Arc<BaseConsumer<Context>>, lanes: &Lanes) -> anyhow::Result<bool> {
        let refresh = self.refreshed.is_none_or(|last| last.elapsed() > REFRESH);
        // The time is read before the ends are: a record that is in Kafka by then lies below them.
        let at = self.now().await;
        self.count_partitions(consumer, refresh).await?;
        if refresh {
            self.refreshed = Some(Instant::now());
        }
        let handled = lanes.handled();
        let bounds = ask(consumer, &handled).await?;
        self.handle.note_broker();
        let at = at?;
        if handled.keys().any(|partition| !self.read_until.contains_key(partition)) {
            let known = timeout(PATIENCE, self.read_before()).await;
            self.read_until.extend(known.context("the database does not tell the progress in time")??);
        }
        let caught_up = self.compare(at, &handled, &bounds);
        let noted = timeout(PATIENCE, self.note(&caught_up)).await;
        let all_read = noted.context("the database does not store the progress in time")??;
        let at_rest = Some(handled).filter(|_| self.marks.is_empty());
        let idle = all_read && at_rest.is_some() && at_rest == self.at_rest && self.handle.topics_are_there().is_ok();
        self.at_rest = at_rest;
        Ok(idle)
    }

    /// Returns whether every topic has been read to an end at least once.
    async fn note(&self, caught_up: &[CaughtUp]) -> anyhow::Result<bool> {
        let mut conn = self.pool.get().await?;
        progress::note_caught_up(&mut conn, self.handle.group(), caught_up).await?;
        self.note_read_once(&mut conn).await
    }

    /// Up to when partitions were read that are new here: an outage goes on for those that wait, also where this instance has
    /// just been started or has just got the partition.
    async fn read_before(&self) -> anyhow::Result<Vec<(Partition, DateTime<Utc>)>> {
        let known = progress::read_until(&mut *self.pool.get().await?, self.handle.group()).await?;
        let new = known.into_iter().map(|(topic, partition, at)| ((topic, partition), at));
        Ok(new.filter(|(partition, _)| !self.read_until.contains_key(partition)).collect())
    }

    /// The database's time. The wait is limited so that a database that hangs, whose statements may take 35 s to give
    /// up, doesn't delay asking the brokers.
    async fn now(&self) -> anyhow::Result<DateTime<Utc>> {
        let asked = async { anyhow::Ok(progress::now(&mut *self.pool.get().await?).await?) };
        timeout(PATIENCE, asked).await.context("the database does not say what time it is")?
    }

    async fn count_partitions(&self, consumer: &Arc<BaseConsumer<Context>>, all: bool) -> anyhow::Result<()> {
        let unknown = |heard: &&Subscription| all || self.handle.partitions(&heard.topic).is_none();
        // The requests go out together: a broker may hold each of them behind a waiting fetch, so in turn they would
        // add up.
        let asked: Vec<_> = self
            .handle
            .subscriptions()
            .iter()
            .filter(unknown)
            .map(|heard| {
                let (consumer, topic) = (Arc::clone(consumer), heard.topic.clone());
                (heard, spawn_blocking(move || consumer.fetch_metadata(Some(&topic), PATIENCE)))
            })
            .collect();
        for (Subscription { topic, .. }, metadata) in asked {
            match Asked::of(&metadata.await??, topic) {
                Asked::Missing if self.handle.note_missing(topic) || all => {
                    tracing::warn!(topic, "the topic does not exist; it is read once it is created");
                }
                Asked::Forbidden if self.handle.note_forbidden(topic) || all => tell_forbidden(&self.principal, topic),
                Asked::Missing | Asked::Forbidden => {}
                Asked::There(count) => self.handle.note_partitions(topic, i32::try_from(count)?),
            }
        }
        Ok(())
    }

    /// Which partitions have been read up to when. A partition that hasn't reached its mark keeps the mark.
    fn compare(
        &mut self,
        at: DateTime<Utc>,
        handled: &HashMap<Partition, Option<i64>>,
        bounds: &HashMap<Partition, Bounds>,
    ) -> Vec<CaughtUp> {
        self.marks.retain(|partition, _| handled.contains_key(partition));
        self.read_until.retain(|partition, _| handled.contains_key(partition));
        for gone in self.measured.iter().filter(|partition| !handled.contains_key(*partition)) {
            tell_lag(gone, 0, TimeDelta::zero()); // the new owner reports it
        }
        self.measured = handled.keys().cloned().collect();
        let mut caught_up = Vec::new();
        for (partition, bounds) in bounds {
            let begun = handled.get(partition).copied().flatten().or(bounds.committed).unwrap_or(bounds.low);
            // Retention has deleted what lies below `low`, so it counts as read.
            let position = begun.max(bounds.low);
            let lag = (bounds.end - position).max(0);
            let mark = *self.marks.entry(partition.clone()).or_insert(Mark { at, end: bounds.end });
            if position >= mark.end {
                self.marks.remove(partition);
                let at = if position >= bounds.end { at } else { mark.at };
                self.read_until.insert(partition.clone(), at);
                caught_up.push(CaughtUp { partition: partition.clone(), position, at });
            }
            // what waits came after the time up to which all was read
            let since = *self.read_until.entry(partition.clone()).or_insert(at);
            tell_lag(partition, lag, if lag > 0 { at - since } else { TimeDelta::zero() });
        }
        caught_up
    }

    /// Returns whether every topic has been read to an end at least once.
    async fn note_read_once(&self, conn: &mut diesel_async::AsyncPgConnection) -> anyhow::Result<bool> {
        if self.handle.all_caught_up() {
            return Ok(true);
        }
        for (topic, read) in progress::read_once(conn, self.handle.group()).await? {
            if self.handle.partitions(&topic).is_some_and(|all| read >= i64::from(all)) {
                self.handle.note_read_once(&topic);
            }
        }
        Ok(self.handle.all_caught_up())
    }
}

pub(super) fn tell_forbidden(principal: &Principal, topic: &str) {
    tracing::warn!(topic, "{}; it is read once that is allowed", principal.may_not(&format!("read {topic}")));
}

fn tell_lag((topic, partition): &Partition, records: i64, waited: TimeDelta) {
    let labels = [("topic", topic.clone()), ("partition", partition.to_string())];
    metrics::gauge!("consumer_lag_records", &labels).set(records as f64);
    metrics::gauge!("consumer_lag_seconds", &labels).set(waited.as_seconds_f64().max(0.0));
}

/// Asks the brokers where the partitions begin and end, and for the committed offset of those in which nothing was
/// handled yet.
async fn ask(
    consumer: &Arc<BaseConsumer<Context>>,
    handled: &HashMap<Partition, Option<i64>>,
) -> anyhow::Result<HashMap<Partition, Bounds>> {
    if handled.is_empty() {
        let consumer = Arc::clone(consumer);
        spawn_blocking(move || consumer.fetch_metadata(None, PATIENCE).map(drop)).await??;
        return Ok(HashMap::new());
    }
    let all: Vec<_> = handled.keys().cloned().collect();
    let unknown: Vec<_> =
        handled.iter().filter(|(_, next)| next.is_none()).map(|(partition, _)| partition.clone()).collect();
    // The requests go out together: a broker may hold each of them behind a waiting fetch, so in turn they would add
    // up.
    let ends = asked(consumer, list(&all, Offset::End)?, |of, list| of.offsets_for_times(list, PATIENCE));
    let lows = asked(consumer, list(&all, Offset::Beginning)?, |of, list| of.offsets_for_times(list, PATIENCE));
    let committed = list(&unknown, Offset::Invalid)?;
    let committed = asked(consumer, committed, |of, list| match list.count() {
        0 => Ok(list),
        _ => of.committed_offsets(list, PATIENCE),
    });
    let (ends, lows, committed) = tokio::try_join!(ends, lows, committed)?;
    let bounds = |partition: Partition| {
        let (low, end) = (number(lows.get(&partition))?, number(ends.get(&partition))?);
        let committed = number(committed.get(&partition));
        Some((partition, Bounds { low, end, committed }))
    };
    Ok(all.into_iter().filter_map(bounds).collect())
}

/// Asks the brokers on a thread that may block.
async fn asked(
    consumer: &Arc<BaseConsumer<Context>>,
    list: TopicPartitionList,
    ask: fn(&BaseConsumer<Context>, TopicPartitionList) -> KafkaResult<TopicPartitionList>,
) -> anyhow::Result<HashMap<Partition, Offset>> {
    let consumer = Arc::clone(consumer);
    Ok(spawn_blocking(move || ask(&consumer, list)).await??.to_topic_map())
}

fn list(partitions: &[Partition], offset: Offset) -> anyhow::Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition_offset(topic, *partition, offset)?;
    }
    Ok(list)
}

fn number(offset: Option<&Offset>) -> Option<i64> {
    match offset {
        Some(Offset::Offset(number)) => Some(*number),
        _ => None,
    }
}
