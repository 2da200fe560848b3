//! Calls to the outside world (gateway, mail, webhook), made by a worker and never inside a transaction that decides.
//!
//! The reaction records the intent as a row; the worker takes it with a lease, calls with a key that stays the same
//! over every retry, and a second transaction records the outcome. A crash between the two repeats the call.
//!
//! Outcomes are settled like commits of a group: the first alone and at once, and whatever ends meanwhile together in the
//! next transaction. So an outcome never waits for company, and a busy worker pays for one transaction instead of many.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};
use diesel_async::pooled_connection::deadpool::PoolError;
use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::circuit_breaker::CircuitBreaker;
use crate::consumer::ReactionError;
use crate::pool::{is_lock_timeout, may_pass};
use crate::retry::{Backoff, Recurring};
use crate::trace::{self, Context, Kind, Span, Told, semconv};

/// How soon a worker looks again for calls that are due and that it was not given: others hold their rows.
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LAST_LOOK: Duration = Duration::from_secs(1);
/// The longest wait while nothing is known to fall due: another instance's nudge isn't heard here.
const IDLE: Duration = Duration::from_secs(5);

/// The calls that a service has recorded and not yet made.
pub trait ExternalCalls: Send + Sync + 'static {
    /// A call, with the key that makes it safe to repeat.
    type Call: Send + 'static;
    /// A call that was made, and what came of it.
    type Made: Send + Sync + 'static;

    /// Takes up to `limit` due calls under a lease, in a transaction of its own: while it lasts nobody else takes
    /// them, and after it has passed they are due again. The lease must outlast the call's own time-out.
    fn take(&self, limit: usize) -> impl Future<Output = anyhow::Result<Vec<Self::Call>>> + Send;

    /// How long until the next recorded call is due, the end of a lease included: zero when one is, none when nothing is
    /// recorded.
    fn next_due(&self) -> impl Future<Output = anyhow::Result<Option<Duration>>> + Send;

    /// Makes the call, bounded in time, and writes nothing.
    fn make(&self, call: Self::Call) -> impl Future<Output = Self::Made> + Send;

    /// Records what came of calls in one transaction (load, decide, save) and says it of each, in their order. A failure that
    /// may pass puts its call off (a later due time). Where one of them is why this fails, each is settled by itself; one that
    /// fails by itself is due again when its lease ends, as are all when the database fails.
    fn settle(&self, made: &[Self::Made]) -> impl Future<Output = anyhow::Result<Vec<Performed>>> + Send;

    /// Like [`ExternalCalls::settle`], and waits for locks no longer than [`wait_briefly`](crate::locks::wait_briefly) lets it:
    /// an outcome whose root somebody holds is settled after all others, with the usual patience.
    fn settle_unless_locked(&self, made: &[Self::Made]) -> impl Future<Output = anyhow::Result<Vec<Performed>>> + Send {
        self.settle(made)
    }

    /// What the trace tells of a call before it is made. By default it is in a trace of its own.
    fn traced(&self, _call: &Self::Call) -> Traced {
        Traced::default()
    }

    /// Why a call failed, in a word of few.
    fn failure(&self, _made: &Self::Made) -> Option<&'static str> {
        None
    }

    /// The breaker of the server that is called, if it has one: [`ExternalCalls::make`] tells it how the server did, and the
    /// worker takes only what it admits.
    fn breaker(&self) -> Option<&CircuitBreaker> {
        None
    }
}

/// A call as its trace tells of it: the wait until a worker took it, the call, and the record of its outcome.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traced {
    /// The span that asked for it.
    pub asked_by: Option<Context>,
    /// Since when it was due.
    pub due: Option<DateTime<Utc>>,
    /// What it does, in a word of few.
    pub what: &'static str,
    /// The order that it is for.
    pub order: Option<Uuid>,
    /// How often it was tried, this time included.
    pub tries: u32,
}

impl Traced {
    /// Tells how long it has waited, and begins the call's span.
    fn begin(&self, worker: &'static str) -> Span {
        let span = Span::begin(self.asked_by);
        if let (Some(asked_by), Some(due)) = (self.asked_by, self.due) {
            let told = || self.told(Kind::Internal, format!("wait {worker}"));
            trace::waited(asked_by, due.into(), span.since(), told);
        }
        span
    }

    fn told(&self, kind: Kind, name: String) -> Told {
        Told::new(kind, name)
            .maybe(semconv::ORDER_ID, self.order.map(|order| order.to_string()))
            .with(semconv::TRIES, i64::from(self.tries))
    }
}

/// A call that was made, its span, and when that ended.
struct Ended<M> {
    made: M,
    span: Context,
    at: SystemTime,
}

/// What came of making a call; counted as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Performed {
    /// It is finished, whatever the answer. Another call may be due by that, so the worker looks for one.
    Done,
    /// It is finished, and no other call is due by that.
    Last,
    /// There is no answer yet: it is made again later.
    PutOff,
}

impl Performed {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Done | Self::Last => "done",
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
pub struct Worker<C: ExternalCalls> {
    name: &'static str,
    calls: Arc<C>,
    at_once: usize,
    nudge: Nudge,
    failures: Recurring,
}

/// What a worker has taken and not settled, and when it looks for more.
struct UnderWay<M> {
    making: JoinSet<Ended<M>>,
    made: Vec<M>,
    /// The spans of those that were made, and when they ended.
    spans: Vec<(Context, SystemTime)>,
    /// One task at most, with how many outcomes it settles.
    settling: JoinSet<Settled>,
    in_settlement: usize,
    /// Something may be due.
    look: bool,
    /// A call was committed since the last look. If none is due, it is for later.
    nudged: bool,
    /// When to look without a nudge.
    look_at: Instant,
    backoff: Backoff,
}

/// What follows from a settlement.
#[derive(Clone, Copy, Default)]
struct Settled {
    /// A call may be due by it.
    look: bool,
    /// A call was put off, so another moment may be the next at which one is due.
    put_off: bool,
}

impl<M: Send + 'static> UnderWay<M> {
    fn new() -> Self {
        Self {
            making: JoinSet::new(),
            made: Vec::new(),
            spans: Vec::new(),
            settling: JoinSet::new(),
            in_settlement: 0,
            look: true,
            nudged: false,
            look_at: Instant::now(),
            backoff: Backoff::new(FIRST_LOOK, LAST_LOOK),
        }
    }

    fn count(&self) -> usize {
        self.making.len() + self.made.len() + self.in_settlement
    }
}

impl<C: ExternalCalls> Worker<C> {
    /// A worker that has up to `at_once` calls at the same time, from the take to the record of the outcome. The name is the
    /// metrics' label.
    pub fn new(name: &'static str, calls: C, at_once: usize) -> Self {
        Self {
            name,
            calls: Arc::new(calls),
            at_once: at_once.max(1),
            nudge: Nudge::default(),
            failures: Recurring::default(),
        }
    }

    /// Has it woken by this, where what wakes it must be there before it.
    #[must_use]
    pub fn woken_by(self, nudge: Nudge) -> Self {
        Self { nudge, ..self }
    }

    /// What wakes it.
    pub fn nudge(&self) -> Nudge {
        self.nudge.clone()
    }

    /// Works until told to stop, then finishes the calls that are under way: each is bounded in time by itself.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut work = UnderWay::new();
        while !stop.is_cancelled() {
            self.settle_what_ended(&mut work);
            let free = self.at_once - work.count();
            let room = self.admitted(free);
            work.look |= work.nudged;
            if room > 0 && work.look {
                self.take(room, &mut work).await;
                continue;
            }
            // an open breaker says when the next call may be taken
            let held_back = if free > 0 && room == 0 { self.breaker_of(CircuitBreaker::wait) } else { None };
            let wait = match held_back {
                Some(wait) => wait,
                None if free > 0 => self.until_next_look(&mut work).await,
                None => IDLE,
            };
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = work.making.join_next() => self.ended(&mut work, ended),
                Some(settled) = work.settling.join_next() => self.settled(&mut work, settled),
                () = self.nudge.0.notified(), if free > 0 => work.nudged = true,
                () = tokio::time::sleep(wait), if free > 0 => work.look = true,
            }
        }
        while work.count() > 0 {
            self.settle_what_ended(&mut work);
            tokio::select! {
                Some(ended) = work.making.join_next() => self.ended(&mut work, ended),
                Some(settled) = work.settling.join_next() => self.settled(&mut work, settled),
                else => {}
            }
        }
    }

    fn admitted(&self, room: usize) -> usize {
        self.calls.breaker().map_or(room, |breaker| breaker.admits(room))
    }

    fn breaker_of<T>(&self, ask: impl FnOnce(&CircuitBreaker) -> T) -> Option<T> {
        self.calls.breaker().map(ask)
    }

    /// Nudges tell of calls that are due at once. When the next of the others is due is asked once, and again when that moment
    /// has come, a call was put off, or a nudge told of one for later.
    async fn until_next_look(&self, work: &mut UnderWay<C::Made>) -> Duration {
        let now = Instant::now();
        if work.look_at <= now {
            let next = match self.calls.next_due().await {
                Ok(None) => IDLE,
                Ok(Some(Duration::ZERO)) => work.backoff.next_wait(),
                Ok(Some(next)) => next.clamp(FIRST_LOOK, IDLE),
                Err(_) => LAST_LOOK, // what keeps it away is told when calls are to be taken
            };
            work.look_at = now + next;
        }
        work.look_at.saturating_duration_since(now)
    }

    /// Hands all outcomes that are there to one transaction, unless one is under way.
    fn settle_what_ended(&self, work: &mut UnderWay<C::Made>) {
        while let Some(ended) = work.making.try_join_next() {
            self.ended(work, ended);
        }
        if work.made.is_empty() || work.in_settlement > 0 {
            return;
        }
        let (made, spans) = (std::mem::take(&mut work.made), std::mem::take(&mut work.spans));
        work.in_settlement = made.len();
        let (name, calls) = (self.name, Arc::clone(&self.calls));
        work.settling.spawn(async move {
            let settled = settle_all(name, &*calls, &made).await;
            let now = SystemTime::now();
            for (span, ended) in spans {
                trace::waited(span, ended, now, || Told::new(Kind::Internal, format!("record {name}")));
            }
            settled
        });
    }

    fn ended(&self, work: &mut UnderWay<C::Made>, ended: Result<Ended<C::Made>, JoinError>) {
        match ended {
            Ok(Ended { made, span, at }) => {
                work.made.push(made);
                work.spans.push((span, at));
            }
            Err(error) => {
                tracing::error!(worker = self.name, error = %error, "a call panicked: it is due again when its lease ends");
                work.look = true;
            }
        }
    }

    fn settled(&self, work: &mut UnderWay<C::Made>, settled: Result<Settled, JoinError>) {
        work.in_settlement = 0;
        let settled = settled.unwrap_or_else(|error| {
            tracing::error!(worker = self.name, error = %error, "recording outcomes ended by itself");
            Settled::default()
        });
        work.look |= settled.look;
        if settled.put_off {
            work.look_at = Instant::now();
        }
    }

    async fn take(&mut self, room: usize, work: &mut UnderWay<C::Made>) {
        let taken = self.calls.take(room).await;
        let news = self.failures.is_news(&taken);
        let taken = taken.unwrap_or_else(|error| {
            if news {
                tracing::warn!(worker = self.name, error = %format!("{error:#}"), "calls can't be taken now");
            }
            Vec::new()
        });
        // a full answer means that there may be more
        work.look = taken.len() == room;
        let nudged = std::mem::take(&mut work.nudged);
        if !taken.is_empty() {
            work.backoff.reset();
            self.breaker_of(CircuitBreaker::taken);
        } else if nudged {
            work.look_at = Instant::now();
        }
        for call in taken {
            let (name, calls) = (self.name, Arc::clone(&self.calls));
            let traced = calls.traced(&call);
            let span = traced.begin(name);
            work.making.spawn(trace::within(span.context(), async move {
                let began = Instant::now();
                let made = calls.make(call).await;
                metrics::histogram!("outside_call_seconds", "worker" => name).record(began.elapsed().as_secs_f64());
                let failure = calls.failure(&made).map(Into::into);
                span.end(failure, || {
                    traced.told(Kind::Client, format!("{name} {}", traced.what).trim_end().to_owned())
                });
                Ended { made, span: span.context(), at: SystemTime::now() }
            }));
        }
    }
}

/// Settles outcomes together; where one of them is why that fails, one by one, so that it holds up no other. A failure of the
/// database is met by one more try together, not by a wait for each.
async fn settle_all<C: ExternalCalls>(worker: &'static str, calls: &C, made: &[C::Made]) -> Settled {
    let mut settled = Settled::default();
    if made.len() == 1 {
        settled.note(worker, 1, guarded(calls.settle(made)).await);
        return settled;
    }
    let mut together = guarded(calls.settle_unless_locked(made)).await;
    if together.as_ref().is_err_and(is_of_the_database) {
        together = guarded(calls.settle_unless_locked(made)).await;
    }
    match together {
        Err(error) if !is_of_the_database(&error) => {
            tracing::debug!(worker, error = %format!("{error:#}"), "outcomes are recorded one by one");
            settle_each(worker, calls, made, &mut settled).await;
        }
        together => settled.note(worker, made.len(), together),
    }
    settled
}

/// Those whose roots are locked come last. Where the database fails, or one has waited in vain, the rest isn't tried.
async fn settle_each<C: ExternalCalls>(worker: &'static str, calls: &C, made: &[C::Made], settled: &mut Settled) {
    let mut locked = Vec::new();
    for (nth, one) in made.chunks(1).enumerate() {
        match guarded(calls.settle_unless_locked(one)).await {
            Err(error) if is_lock_timeout(error.as_ref()) => locked.push(one),
            Err(error) if is_of_the_database(&error) => {
                return settled.note(worker, made.len() - nth + locked.len(), Err(error));
            }
            outcome => settled.note(worker, 1, outcome),
        }
    }
    for (nth, one) in locked.iter().enumerate() {
        match guarded(calls.settle(one)).await {
            Err(error) if is_lock_timeout(error.as_ref()) || is_of_the_database(&error) => {
                return settled.note(worker, locked.len() - nth, Err(error));
            }
            outcome => settled.note(worker, 1, outcome),
        }
    }
}

/// Whether the database is why outcomes can't be recorded, and none of them.
fn is_of_the_database(error: &anyhow::Error) -> bool {
    let of_the_database = |cause: &(dyn std::error::Error + 'static)| {
        cause.is::<PoolError>()
            || cause.downcast_ref().is_some_and(may_pass)
            || matches!(cause.downcast_ref(), Some(ReactionError::Transient(_)))
    };
    !is_lock_timeout(error.as_ref()) && error.chain().any(of_the_database)
}

async fn guarded(settling: impl Future<Output = anyhow::Result<Vec<Performed>>>) -> anyhow::Result<Vec<Performed>> {
    let settling = AssertUnwindSafe(settling).catch_unwind();
    settling.await.unwrap_or_else(|_| Err(anyhow::anyhow!("recording the outcome panicked")))
}

impl Settled {
    fn note(&mut self, worker: &'static str, count: usize, outcome: anyhow::Result<Vec<Performed>>) {
        match outcome {
            Ok(performed) => self.count(worker, &performed),
            Err(error) => {
                tracing::warn!(worker, count, error = %format!("{error:#}"), "outcomes of calls were not recorded: they are due again when their leases end");
                metrics::counter!("outside_calls_total", "worker" => worker, "outcome" => "failed")
                    .increment(count as u64);
            }
        }
    }

    fn count(&mut self, worker: &'static str, performed: &[Performed]) {
        for performed in performed {
            metrics::counter!("outside_calls_total", "worker" => worker, "outcome" => performed.as_str()).increment(1);
            self.look |= *performed == Performed::Done;
            self.put_off |= *performed == Performed::PutOff;
        }
    }
}
