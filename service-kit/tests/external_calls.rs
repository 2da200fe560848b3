//! The worker for calls to the outside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use service_kit::config::{LogFormat, TelemetryConfig};
use service_kit::external_calls::{ExternalCalls, Performed, Worker};
use service_kit::telemetry;
use service_kit::testing::eventually;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

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

    async fn take(&self, limit: usize) -> anyhow::Result<Vec<&'static str>> {
        let mut recorded = self.0.recorded.lock().unwrap();
        let count = limit.min(recorded.len());
        Ok(recorded.drain(..count).collect())
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        Ok(None)
    }

    async fn perform(&self, call: &'static str) -> anyhow::Result<Performed> {
        assert_ne!(call, "panic");
        let now = self.0.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(now, Ordering::SeqCst);
        self.0.gate.acquire().await?.forget();
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        self.0.answered.lock().unwrap().push(call);
        Ok(if call == "later" { Performed::PutOff } else { Performed::Done })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_put_off_is_not_counted_as_done() {
    let quiet = TelemetryConfig { format: LogFormat::Json, filter: "off".to_owned() };
    telemetry::init("test", &quiet).unwrap();
    let desk = Desk::with(["later", "later", "now"], 3);
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new("counted", Calls(Arc::clone(&desk)), 2).run(stop.clone()));
    eventually("all are made", SOON, async || desk.answered().len() == 3).await;
    stop.cancel();
    worker.await.unwrap();
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
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new("test", Calls(Arc::clone(&desk)), 2).run(stop.clone()));
    eventually("two are under way", SOON, async || desk.under_way.load(Ordering::SeqCst) == 2).await;
    desk.gate.add_permits(5);
    eventually("all are answered", SOON, async || desk.answered().len() == 5).await;
    assert_eq!(desk.most.load(Ordering::SeqCst), 2);
    stop.cancel();
    worker.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_stop_finishes_what_is_under_way_and_takes_no_more() {
    let desk = Desk::with(["a", "b", "c"], 0);
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new("test", Calls(Arc::clone(&desk)), 2).run(stop.clone()));
    eventually("two are under way", SOON, async || desk.under_way.load(Ordering::SeqCst) == 2).await;
    stop.cancel();
    desk.gate.add_permits(5);
    worker.await.unwrap();
    assert_eq!(desk.answered(), ["a", "b"]);
    assert_eq!(desk.recorded.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_panics_costs_only_itself_and_a_nudge_wakes_the_worker() {
    let desk = Desk::with(["panic", "a"], 5);
    let stop = CancellationToken::new();
    let worker = Worker::new("test", Calls(Arc::clone(&desk)), 2);
    let nudge = worker.nudge();
    let worker = tokio::spawn(worker.run(stop.clone()));
    eventually("the other is answered", SOON, async || desk.answered() == ["a"]).await;
    desk.recorded.lock().unwrap().push_back("b");
    nudge.nudge();
    eventually("the new one is answered", SOON, async || desk.answered() == ["a", "b"]).await;
    stop.cancel();
    worker.await.unwrap();
}
