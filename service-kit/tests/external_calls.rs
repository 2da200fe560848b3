//! The worker for calls to the outside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use service_kit::config::{LogFormat, TelemetryConfig};
use service_kit::consumer::ReactionError;
use service_kit::external_calls::{ExternalCalls, Performed, Worker};
use service_kit::telemetry;
use service_kit::testing::{Running, eventually};
use tokio::sync::Semaphore;

const SOON: Duration = Duration::from_secs(10);

/// Calls in memory. One with the name `panic` panics; the others wait for the gate.
struct Desk {
    recorded: Mutex<VecDeque<&'static str>>,
    answered: Mutex<Vec<&'static str>>,
    under_way: AtomicUsize,
    most: AtomicUsize,
    gate: Semaphore,
}

impl Desk {
    fn with(calls: impl IntoIterator<Item = &'static str>, open: usize) -> Arc<Self> {
        Arc::new(Self {
            recorded: Mutex::new(calls.into_iter().collect()),
            answered: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            gate: Semaphore::new(open),
        })
    }

    fn answered(&self) -> Vec<&'static str> {
        let mut answered = self.answered.lock().unwrap().clone();
        answered.sort_unstable();
        answered
    }
}

struct Calls(Arc<Desk>);

impl ExternalCalls for Calls {
    type Call = &'static str;
    type Made = Performed;

    async fn take(&self, limit: usize) -> anyhow::Result<Vec<&'static str>> {
        let mut recorded = self.0.recorded.lock().unwrap();
        let count = limit.min(recorded.len());
        Ok(recorded.drain(..count).collect())
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        Ok(None)
    }

    async fn make(&self, call: &'static str) -> Performed {
        assert_ne!(call, "panic");
        let now = self.0.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(now, Ordering::SeqCst);
        self.0.gate.acquire().await.unwrap().forget();
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        self.0.answered.lock().unwrap().push(call);
        if call == "later" { Performed::PutOff } else { Performed::Done }
    }

    async fn settle(&self, made: &[Performed]) -> anyhow::Result<Vec<Performed>> {
        Ok(made.to_vec())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_put_off_is_not_counted_as_done() {
    let quiet = TelemetryConfig { format: LogFormat::Json, filter: "off".to_owned(), tracing: None };
    telemetry::init("test", &quiet).unwrap();
    let desk = Desk::with(["later", "later", "now"], 3);
    let worker = Running::start(|stop| Worker::new("counted", Calls(Arc::clone(&desk)), 2).run(stop));
    eventually("all are made", SOON, async || desk.answered().len() == 3).await;
    worker.end().await;
    let shown = telemetry::render_metrics();
    let counted = |outcome: &str| {
        let is_it = |line: &&str| line.contains(r#"worker="counted""#) && line.contains(outcome);
        shown.lines().find(is_it).and_then(|line| line.rsplit(' ').next())
    };
    assert_eq!((counted("put_off"), counted("done")), (Some("2"), Some("1")), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_calls_are_made_at_once() {
    let desk = Desk::with(["a", "b", "c", "d", "e"], 0);
    let worker = Running::start(|stop| Worker::new("test", Calls(Arc::clone(&desk)), 2).run(stop));
    eventually("two are under way", SOON, async || desk.under_way.load(Ordering::SeqCst) == 2).await;
    desk.gate.add_permits(5);
    eventually("all are answered", SOON, async || desk.answered().len() == 5).await;
    assert_eq!(desk.most.load(Ordering::SeqCst), 2);
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_stop_finishes_what_is_under_way_and_takes_no_more() {
    let desk = Desk::with(["a", "b", "c"], 0);
    let worker = Running::start(|stop| Worker::new("test", Calls(Arc::clone(&desk)), 2).run(stop));
    eventually("two are under way", SOON, async || desk.under_way.load(Ordering::SeqCst) == 2).await;
    worker.end_and(|| desk.gate.add_permits(5)).await;
    assert_eq!(desk.answered(), ["a", "b"]);
    assert_eq!(desk.recorded.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_panics_costs_only_itself_and_a_nudge_wakes_the_worker() {
    let desk = Desk::with(["panic", "a"], 5);
    let worker = Worker::new("test", Calls(Arc::clone(&desk)), 2);
    let nudge = worker.nudge();
    let worker = Running::start(|stop| worker.run(stop));
    eventually("the other is answered", SOON, async || desk.answered() == ["a"]).await;
    desk.recorded.lock().unwrap().push_back("b");
    nudge.nudge();
    eventually("the new one is answered", SOON, async || desk.answered() == ["a", "b"]).await;
    worker.end().await;
}

/// Calls that are made at once, and settled when the gate lets them. One with the name `spoilt` can't be settled, and with one
/// that is `away` goes the database; somebody holds the root of one that is `locked`.
struct Group {
    recorded: Mutex<VecDeque<&'static str>>,
    takes: AtomicUsize,
    asked_when: AtomicUsize,
    made: AtomicUsize,
    settling: AtomicUsize,
    tries: AtomicUsize,
    gate: Semaphore,
    batches: Mutex<Vec<Vec<&'static str>>>,
}

impl Group {
    fn with(calls: impl IntoIterator<Item = &'static str>, open: usize) -> Arc<Self> {
        Arc::new(Self {
            recorded: Mutex::new(calls.into_iter().collect()),
            takes: AtomicUsize::new(0),
            asked_when: AtomicUsize::new(0),
            made: AtomicUsize::new(0),
            settling: AtomicUsize::new(0),
            tries: AtomicUsize::new(0),
            gate: Semaphore::new(open),
            batches: Mutex::default(),
        })
    }

    fn record(&self, calls: impl IntoIterator<Item = &'static str>) {
        self.recorded.lock().unwrap().extend(calls);
    }

    fn sizes(&self) -> Vec<usize> {
        self.batches.lock().unwrap().iter().map(Vec::len).collect()
    }

    fn settled(&self) -> usize {
        self.sizes().iter().sum()
    }
}

struct Grouped(Arc<Group>);

impl ExternalCalls for Grouped {
    type Call = &'static str;
    type Made = &'static str;

    async fn take(&self, limit: usize) -> anyhow::Result<Vec<&'static str>> {
        self.0.takes.fetch_add(1, Ordering::SeqCst);
        let mut recorded = self.0.recorded.lock().unwrap();
        let count = limit.min(recorded.len());
        Ok(recorded.drain(..count).collect())
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        self.0.asked_when.fetch_add(1, Ordering::SeqCst);
        Ok(None)
    }

    async fn make(&self, call: &'static str) -> &'static str {
        self.0.made.fetch_add(1, Ordering::SeqCst);
        call
    }

    async fn settle(&self, made: &[&'static str]) -> anyhow::Result<Vec<Performed>> {
        assert_eq!(self.0.settling.fetch_add(1, Ordering::SeqCst), 0, "one transaction at a time");
        self.0.gate.acquire().await?.forget();
        self.0.settling.fetch_sub(1, Ordering::SeqCst);
        self.0.tries.fetch_add(1, Ordering::SeqCst);
        anyhow::ensure!(!made.contains(&"spoilt"), "it can't be written");
        if made.contains(&"away") {
            return Err(ReactionError::transient(anyhow::anyhow!("no connection")).into());
        }
        self.0.batches.lock().unwrap().push(made.to_vec());
        Ok(made.iter().map(|call| if *call == "last" { Performed::Last } else { Performed::Done }).collect())
    }

    async fn settle_unless_locked(&self, made: &[&'static str]) -> anyhow::Result<Vec<Performed>> {
        anyhow::ensure!(!made.contains(&"locked"), "canceling statement due to lock timeout");
        self.settle(made).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_is_settled_at_once_and_those_that_end_meanwhile_together_in_the_next_transaction() {
    let group = Group::with(["first"], 0);
    let worker = Worker::new("test", Grouped(Arc::clone(&group)), 8);
    let nudge = worker.nudge();
    let worker = Running::start(|stop| worker.run(stop));
    eventually("the first is being settled", SOON, async || group.settling.load(Ordering::SeqCst) == 1).await;
    group.record(["b", "c", "d", "e", "f"]);
    nudge.nudge();
    eventually("the others are made", SOON, async || group.made.load(Ordering::SeqCst) == 6).await;
    group.gate.add_permits(6);
    eventually("all are settled", SOON, async || group.settled() == 6).await;
    let sizes = group.sizes();
    assert!(sizes[0] == 1 && sizes.len() <= 3, "one that ends this very moment may miss the second: {sizes:?}");
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_can_not_be_settled_spoils_the_settling_of_no_other() {
    let group = Group::with(["a", "spoilt", "b"], 10);
    let worker = Running::start(|stop| Worker::new("test", Grouped(Arc::clone(&group)), 8).run(stop));
    eventually("the others are settled", SOON, async || group.settled() == 2).await;
    worker.end().await;
    let mut settled = group.batches.lock().unwrap().concat();
    settled.sort_unstable();
    assert_eq!(settled, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_that_are_there_when_it_is_told_to_stop_are_settled_before_it_ends() {
    let group = Group::with(["a", "b", "c"], 0);
    let worker = Running::start(|stop| Worker::new("test", Grouped(Arc::clone(&group)), 8).run(stop));
    eventually("one is being settled", SOON, async || group.settling.load(Ordering::SeqCst) == 1).await;
    worker.end_and(|| group.gate.add_permits(3)).await;
    assert_eq!(group.settled(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_looks_for_calls_when_it_is_nudged_or_more_may_follow_and_does_not_poll_in_between() {
    const NUDGES: usize = 20;
    for (call, looks) in [("one of many", 2), ("last", 1)] {
        let group = Group::with([], 100);
        let worker = Worker::new("test", Grouped(Arc::clone(&group)), 8);
        let nudge = worker.nudge();
        let worker = Running::start(|stop| worker.run(stop));
        for nudged in 1..=NUDGES {
            group.record([call]);
            nudge.nudge();
            eventually("it is settled", SOON, async || group.settled() == nudged).await;
        }
        // the first look, and one after a stretch with nothing to do
        let takes = group.takes.load(Ordering::SeqCst);
        assert!(takes <= looks * NUDGES + 2, "{takes} looks for {NUDGES} calls");
        worker.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nudge_for_a_call_that_is_not_due_yet_has_the_worker_ask_when_it_is() {
    let group = Group::with([], 0);
    let worker = Worker::new("test", Grouped(Arc::clone(&group)), 8);
    let nudge = worker.nudge();
    let worker = Running::start(|stop| worker.run(stop));
    eventually("it has asked, and waits five seconds", SOON, async || group.asked_when.load(Ordering::SeqCst) == 1)
        .await;
    nudge.nudge();
    eventually("it asks again", Duration::from_secs(3), async || group.asked_when.load(Ordering::SeqCst) == 2).await;
    worker.end().await;
}

/// Settles `first` alone while these are made, and so all of these together.
async fn together(calls: &[&'static str], settled: usize) -> Arc<Group> {
    let group = Group::with(["first"], 0);
    let worker = Worker::new("test", Grouped(Arc::clone(&group)), 8);
    let nudge = worker.nudge();
    let worker = Running::start(|stop| worker.run(stop));
    eventually("the first is being settled", SOON, async || group.settling.load(Ordering::SeqCst) == 1).await;
    group.record(calls.iter().copied());
    nudge.nudge();
    eventually("the others are made", SOON, async || group.made.load(Ordering::SeqCst) == 1 + calls.len()).await;
    group.gate.add_permits(100);
    eventually("what can be settled is", SOON, async || group.settled() >= settled).await;
    worker.end().await;
    group
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_can_not_do_for_all_it_is_not_asked_to_do_for_each() {
    let group = together(&["away", "away", "away", "away", "away", "away"], 1).await;
    let tries = group.tries.load(Ordering::SeqCst);
    assert!(tries <= 4, "the first, twice all, and one that may miss the others: {tries}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_whose_root_is_locked_is_settled_by_itself_and_the_others_do_not_wait_for_it() {
    let group = together(&["locked", "a", "b"], 4).await;
    let batches = group.batches.lock().unwrap().clone();
    assert!(batches.contains(&vec!["locked"]), "{batches:?}");
}
