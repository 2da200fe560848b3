//! What others can ask a running consumer: whether it works, and how far it has read.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::{Mode, Subscription, inbox};
use crate::telemetry;

/// How old the last poll or the brokers' last answer may be before the consumer counts as unwell.
const SILENCE: Duration = Duration::from_secs(15);

/// Reports on a running consumer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ConsumerHandle(Arc<State>);

#[derive(Debug)]
struct State {
    group: String,
    subscriptions: Vec<Subscription>,
    seen: RwLock<Seen>,
    progress_wanted: Notify,
    /// The event ids that the inbox can hold; none until the inbox's reach is known.
    range: watch::Sender<Option<inbox::Range>>,
}

#[derive(Debug, Default)]
struct Seen {
    polled: Option<Instant>,
    broker: Option<Instant>,
    dead_lanes: usize,
    partitions: HashMap<String, i32>,
    /// Topics that the brokers don't have.
    missing: BTreeSet<String>,
    /// Topics that this client's principal may not read.
    forbidden: BTreeSet<String>,
    read_once: HashSet<String>,
}

impl ConsumerHandle {
    pub(crate) fn new(group: String, subscriptions: Vec<Subscription>) -> Self {
        let (seen, progress_wanted, range) = (RwLock::default(), Notify::new(), watch::Sender::default());
        Self(Arc::new(State { group, subscriptions, seen, progress_wanted, range }))
    }

    /// For readiness: whether it polls, the brokers answered lately, and no lane has died.
    pub fn is_well(&self) -> bool {
        self.read(|seen| recent(seen.polled) && recent(seen.broker) && seen.dead_lanes == 0)
    }

    /// Sets the gauges of readiness at each look at `/metrics`: a broker that is away, a consumer that has stopped. Counters of
    /// what goes wrong begin at 0, since an increase from nothing to 1 is none to Prometheus.
    pub(crate) fn gauge(&self) {
        for Subscription { topic, .. } in self.subscriptions() {
            metrics::counter!("consumer_lost_events_total", "topic" => topic.clone()).increment(0);
            metrics::counter!("consumer_retries_total", "topic" => topic.clone()).increment(0);
        }
        let handle = self.clone();
        let (away, stopped) = (metrics::gauge!("consumer_broker_away"), metrics::gauge!("consumer_stopped"));
        telemetry::at_each_look(move || {
            let polls = handle.read(|seen| recent(seen.polled) && seen.dead_lanes == 0);
            away.set(f64::from(u8::from(!handle.broker_answers())));
            stopped.set(f64::from(u8::from(!polls)));
        });
    }

    /// For readiness: whether the brokers answered lately.
    pub fn broker_answers(&self) -> bool {
        self.read(|seen| recent(seen.broker))
    }

    /// For readiness: whether the brokers have every topic that is subscribed to, and let this client read it.
    ///
    /// # Errors
    /// Fails with the names of the topics that they don't have, or don't let this client read.
    pub fn topics_are_there(&self) -> Result<(), String> {
        self.read(|seen| {
            for (topics, what) in [(&seen.missing, "missing"), (&seen.forbidden, "may not be read")] {
                if !topics.is_empty() {
                    let names: Vec<_> = topics.iter().map(String::as_str).collect();
                    return Err(format!("{what}: {}", names.join(", ")));
                }
            }
            let known = self.0.subscriptions.iter().all(|heard| seen.partitions.contains_key(&heard.topic));
            if known { Ok(()) } else { Err("not known yet".to_owned()) }
        })
    }

    /// Whether `topic` has been read to an end at least once, by any member of the group. Once true, it stays true.
    pub fn caught_up(&self, topic: &str) -> bool {
        self.read(|seen| seen.read_once.contains(topic))
    }

    pub(crate) fn all_caught_up(&self) -> bool {
        self.0.subscriptions.iter().all(|heard| self.caught_up(&heard.topic))
    }

    /// Asks for the progress to be noted soon even if no record arrives; a timer waits for it.
    pub(crate) fn want_progress(&self) {
        self.0.progress_wanted.notify_one();
    }

    pub(crate) async fn progress_wanted(&self) {
        self.0.progress_wanted.notified().await;
    }

    /// The consumer group.
    pub fn group(&self) -> &str {
        &self.0.group
    }

    /// The topics that timers wait for, with their numbers of partitions. None until all of them are known.
    pub(crate) fn gates(&self) -> Option<Vec<(&str, i32)>> {
        let gates = self.0.subscriptions.iter().filter(|heard| heard.mode == Mode::Inbox);
        self.read(|seen| gates.map(|heard| Some((heard.topic.as_str(), *seen.partitions.get(&heard.topic)?))).collect())
    }

    pub(crate) fn subscriptions(&self) -> &[Subscription] {
        &self.0.subscriptions
    }

    pub(crate) fn mode(&self, topic: &str) -> Mode {
        let heard = self.0.subscriptions.iter().find(|heard| heard.topic == topic);
        heard.map_or(Mode::Inbox, |heard| heard.mode)
    }

    pub(crate) fn partitions(&self, topic: &str) -> Option<i32> {
        self.read(|seen| seen.partitions.get(topic).copied())
    }

    pub(crate) fn range(&self) -> Option<inbox::Range> {
        *self.0.range.borrow()
    }

    /// Waits until the inbox's reach is known.
    pub(crate) async fn range_known(&self) {
        // The sender lives as long as `self`, so waiting can't fail.
        _ = self.0.range.subscribe().wait_for(Option::is_some).await;
    }

    pub(crate) fn note_poll(&self) {
        self.write(|seen| seen.polled = Some(Instant::now()));
    }

    pub(crate) fn note_broker(&self) {
        self.write(|seen| seen.broker = Some(Instant::now()));
    }

    pub(crate) fn note_dead_lanes(&self, count: usize) {
        self.write(|seen| seen.dead_lanes = count);
    }

    pub(crate) fn note_partitions(&self, topic: &str, count: i32) {
        self.write(|seen| {
            seen.missing.remove(topic);
            seen.forbidden.remove(topic);
            seen.partitions.insert(topic.to_owned(), count)
        });
    }

    /// Returns whether that is news.
    pub(crate) fn note_missing(&self, topic: &str) -> bool {
        self.write(|seen| {
            seen.partitions.remove(topic);
            seen.forbidden.remove(topic);
            seen.missing.insert(topic.to_owned())
        })
    }

    /// Returns whether that is news.
    pub(crate) fn note_forbidden(&self, topic: &str) -> bool {
        self.write(|seen| {
            seen.partitions.remove(topic);
            seen.missing.remove(topic);
            seen.forbidden.insert(topic.to_owned())
        })
    }

    pub(crate) fn note_read_once(&self, topic: &str) {
        self.write(|seen| seen.read_once.insert(topic.to_owned()));
    }

    pub(crate) fn note_range(&self, range: inbox::Range) {
        self.0.range.send_replace(Some(range));
    }

    fn read<'s, T>(&'s self, look: impl FnOnce(&Seen) -> T + 's) -> T {
        look(&self.0.seen.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        change(&mut self.0.seen.write().unwrap_or_else(PoisonError::into_inner))
    }
}

fn recent(moment: Option<Instant>) -> bool {
    moment.is_some_and(|moment| moment.elapsed() < SILENCE)
}
