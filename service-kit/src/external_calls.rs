//! Calls to the outside world (gateway, mail, webhook), made by a worker and never inside a transaction that decides.
//!
//! The reaction records the intent as a row; the worker takes it with a lease, calls with a key that stays the same
//! over every retry, and a second transaction records the outcome. A crash between the two repeats the call.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::circuit_breaker::CircuitBreaker;
use crate::retry::{Backoff, Recurring};

/// A call that was just recorded is taken at the nudge; this only finds those that fell due, or whose lease has passed.
const FIRST_POLL: Duration = Duration::from_millis(20);
const LAST_POLL: Duration = Duration::from_secs(1);
/// The longest wait while nothing is recorded that could fall due: another instance's nudge isn't heard here.
const IDLE: Duration = Duration::from_secs(5);

/// The calls that a service has recorded and not yet made.
pub trait ExternalCalls: Send + Sync + 'static {
    /// A call, with the key that makes it safe to repeat.
    type Call: Send + 'static;

    /// Takes up to `limit` due calls under a lease, in a transaction of its own: while it lasts nobody else takes
    /// them, and after it has passed they are due again. The lease must outlast the call's own time-out.
    fn take(&self, limit: usize) -> impl Future<Output = anyhow::Result<Vec<Self::Call>>> + Send;

    /// How long until the next recorded call is due, the end of a lease included: zero when one is, none when nothing is
    /// recorded.
    fn next_due(&self) -> impl Future<Output = anyhow::Result<Option<Duration>>> + Send;

    /// Makes the call, bounded in time, and records its outcome in a transaction of its own. A failure that may pass is
    /// the call's own to put off (a later due time); an error here means that not even that could be written, and the
    /// lease's end makes the call due again.
    fn perform(&self, call: Self::Call) -> impl Future<Output = anyhow::Result<Performed>> + Send;

    /// The breaker of the server that is called, if it has one: [`ExternalCalls::perform`] tells it how the server did, and
    /// the worker takes only what it admits.
    fn breaker(&self) -> Option<&CircuitBreaker> {
        None
    }
}

/// What came of making a call; counted as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Performed {
    /// It is finished, whatever the answer.
    Done,
    /// There is no answer yet: it is made again later.
    PutOff,
}

impl Performed {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::PutOff => "put_off",
        }
    }
}

/// Wakes a worker. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// A call was committed that is due now.
    pub fn nudge(&self) {
        self.0.notify_one();
    }
}

/// Makes recorded calls, some at a time.
pub struct Worker<C> {
    name: &'static str,
    calls: Arc<C>,
    at_once: usize,
    nudge: Nudge,
    failures: Recurring,
}

impl<C: ExternalCalls> Worker<C> {
    /// A worker that makes up to `at_once` calls at the same time. The name is the metrics' label.
    pub fn new(name: &'static str, calls: C, at_once: usize) -> Self {
        Self {
            name,
            calls: Arc::new(calls),
            at_once: at_once.max(1),
            nudge: Nudge::default(),
            failures: Recurring::default(),
        }
    }

    /// What wakes it.
    pub fn nudge(&self) -> Nudge {
        self.nudge.clone()
    }

    /// Works until told to stop, then finishes the calls that are under way: each is bounded in time by itself.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut under_way = JoinSet::new();
        let mut backoff = Backoff::new(FIRST_POLL, LAST_POLL);
        while !stop.is_cancelled() {
            let free = self.at_once - under_way.len();
            let room = self.admitted(free);
            let taken = if room == 0 { 0 } else { self.take(room, &mut under_way).await };
            if taken > 0 {
                backoff.reset();
                self.breaker_of(CircuitBreaker::taken);
            }
            // a full answer means that there may be more; with no room only an ended call helps
            if taken == room && room > 0 {
                continue;
            }
            // an open breaker says when the next call may be taken; if it admits one, none is due
            let held_back = if free > 0 && room == 0 { self.breaker_of(CircuitBreaker::wait) } else { None };
            let mut wait = held_back.unwrap_or_else(|| backoff.next_wait());
            if held_back.is_none() && taken == 0 && under_way.is_empty() && wait >= LAST_POLL / 2 {
                wait = self.long_wait().await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = under_way.join_next() => self.report(ended),
                () = self.nudge.0.notified(), if free > 0 => backoff.reset(),
                () = tokio::time::sleep(wait), if free > 0 => {}
            }
        }
        while let Some(ended) = under_way.join_next().await {
            self.report(ended);
        }
    }

    fn admitted(&self, room: usize) -> usize {
        self.calls.breaker().map_or(room, |breaker| breaker.admits(room))
    }

    fn breaker_of<T>(&self, ask: impl FnOnce(&CircuitBreaker) -> T) -> Option<T> {
        self.calls.breaker().map(ask)
    }

    /// For a worker that has found nothing for a while: until the next call is due.
    async fn long_wait(&self) -> Duration {
        match self.calls.next_due().await {
            Ok(None) => IDLE,
            Ok(Some(next)) => next.clamp(LAST_POLL, IDLE),
            Err(_) => LAST_POLL, // what keeps it away is told when calls are to be taken
        }
    }

    fn report(&self, ended: Result<(), JoinError>) {
        if let Err(error) = ended {
            tracing::error!(worker = self.name, error = %error, "a call panicked: it is due again when its lease ends");
        }
    }

    async fn take(&mut self, room: usize, under_way: &mut JoinSet<()>) -> usize {
        let taken = self.calls.take(room).await;
        let news = self.failures.is_news(&taken);
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => {
                if news {
                    tracing::warn!(worker = self.name, error = %format!("{error:#}"), "calls can't be taken now");
                }
                return 0;
            }
        };
        let count = taken.len();
        for call in taken {
            let (name, calls) = (self.name, Arc::clone(&self.calls));
            under_way.spawn(async move {
                let outcome = match calls.perform(call).await {
                    Ok(performed) => performed.as_str(),
                    Err(error) => {
                        tracing::warn!(worker = name, error = %format!("{error:#}"), "a call's outcome was not recorded: it is due again when its lease ends");
                        "failed"
                    }
                };
                metrics::counter!("outside_calls_total", "worker" => name, "outcome" => outcome).increment(1);
            });
        }
        count
    }
}
