//! The leader's loop: it reads, publishes and deletes, with several batches under way.

use std::time::Duration;

use diesel::result::QueryResult;
use futures_util::FutureExt;
use service_kit::retry::Backoff;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::RelayConfig;
use crate::health::State;
use crate::nudge::Nudge;
use crate::publisher::{Publisher, Report};
use crate::term::{Answer, Outage, Term};

/// The first wait after a read that found rows of which no nudge had told, or a gap that may still be filled.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

pub(crate) struct Lead<'a, P> {
    config: &'a RelayConfig,
    term: Term<'a>,
    publisher: &'a mut P,
    nudge: &'a Nudge,
    state: &'a watch::Sender<State>,
    idle: Backoff,
    outages: Backoff,
    upkeep: Interval,
    look_at: Instant,
    /// A nudge told of the rows that the next read finds.
    nudged: bool,
    /// An operator asked for something for parked rows, which is done once nothing is under way.
    asked: bool,
}

impl<'a, P: Publisher> Lead<'a, P> {
    pub fn new(
        config: &'a RelayConfig,
        term: Term<'a>,
        publisher: &'a mut P,
        nudge: &'a Nudge,
        state: &'a watch::Sender<State>,
    ) -> Self {
        let mut upkeep = interval(config.upkeep);
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let idle = Backoff::new(SHORTEST_WAIT, config.idle);
        let outages = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let (look_at, nudged, asked) = (Instant::now(), false, false);
        Self { config, term, publisher, nudge, state, idle, outages, upkeep, look_at, nudged, asked }
    }

    /// Works until told to stop; then waits for what is under way.
    pub async fn until(mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        self.state.send_replace(State::Leading);
        self.publisher.warm_up();
        // The first row to be archived needs a partition.
        self.term.tend_archive().await?;
        self.term.prepare().await?;
        while !stop.is_cancelled() {
            // In a long drain there are always reports or answers.
            if self.upkeep.tick().now_or_never().is_some() {
                self.look_after().await?;
            }
            if self.must_go_alone() {
                let outage = tokio::select! {
                    outage = one_at_a_time(&mut self.term, self.publisher) => outage?,
                    () = stop.cancelled() => break,
                };
                self.asked = false;
                self.after(outage, stop).await;
            }
            if self.may_look() && self.look_at <= Instant::now() {
                self.term.read();
            }
            let mut reports = Vec::new();
            if !self.must_go_alone() {
                self.wait(&mut reports, stop).await?;
            }
            if !reports.is_empty() {
                let outage = self.term.settle(reports, self.publisher).await;
                self.after(outage, stop).await;
            }
        }
        self.drain().await
    }

    fn must_go_alone(&self) -> bool {
        self.term.settled() && (self.asked || self.term.suspicious())
    }

    fn may_look(&self) -> bool {
        self.term.has_room() && !self.asked
    }

    /// Takes note of an answer, and hands over the rows that it has. `read_on`: the next batch is sent for before, so that
    /// PostgreSQL works on it meanwhile.
    fn hear(&mut self, answer: Answer, read_on: bool) {
        let Some(batch) = self.term.note(answer) else { return };
        // Whoever nudges does so for each commit, so only rows that were found without it promise more of their kind.
        let nudged = std::mem::take(&mut self.nudged);
        if !batch.is_empty() && (!nudged || self.term.has_gaps()) {
            self.idle.reset();
        }
        self.look_at = Instant::now();
        if !batch.full {
            self.look_at += self.idle.next_wait();
        } else if read_on && !self.asked && self.term.has_room_after(&batch) {
            self.term.read();
        }
        self.term.hand_over(batch, self.publisher);
    }

    /// Until there are reports or an answer, another look is due, or it is told to stop.
    async fn wait(&mut self, reports: &mut Vec<Report>, stop: &CancellationToken) -> QueryResult<()> {
        let may_look = self.may_look();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.publisher.reports(reports), if self.term.publishes() => {}
            answer = self.term.answer(), if self.term.asks() => self.hear(answer?, true),
            () = sleep_until(self.look_at), if may_look => {}
            () = self.nudge.nudged(), if may_look => self.look_soon(),
            _ = self.upkeep.tick() => self.look_after().await?,
        }
        Ok(())
    }

    fn look_soon(&mut self) {
        self.nudged = true;
        self.look_at = Instant::now();
    }

    /// The upkeep: gauges, what is asked for parked rows, a broker that says nothing.
    async fn look_after(&mut self) -> QueryResult<()> {
        while self.term.asks() {
            let answer = self.term.answer().await?;
            self.hear(answer, false);
        }
        self.term.tend_archive().await?;
        self.asked = self.term.gauge().await?;
        if self.term.waiting() > self.config.silence {
            self.tell(State::Outage(self.term.silent()));
        }
        Ok(())
    }

    /// Waits after an outage, and notes when it is over.
    async fn after(&mut self, outage: Option<Outage>, stop: &CancellationToken) {
        let Some(why) = outage else {
            self.outages.reset();
            self.tell(State::Leading);
            return;
        };
        self.tell(State::Outage(why));
        let wait = self.outages.next_wait();
        tokio::select! { () = sleep(wait) => {}, () = stop.cancelled() => {} }
    }

    fn tell(&self, state: State) {
        let relay = &self.config.name;
        let news = self.state.send_if_modified(|known| {
            let news = *known != state;
            known.clone_from(&state);
            news
        });
        self.term.meters.outage(matches!(state, State::Outage(_)));
        match state {
            State::Outage(reason) if news => tracing::warn!(relay, reason, "rows can't be published: they wait"),
            State::Leading if news => tracing::info!(relay, "rows are published again"),
            _ => {}
        }
    }

    async fn drain(mut self) -> anyhow::Result<()> {
        let settled = timeout(self.config.drain, async {
            while !self.term.settled() {
                if next(&mut self.term, self.publisher, Read::Leave).await?.is_some() {
                    break;
                }
            }
            finish(&mut self.term).await
        });
        match settled.await {
            Ok(settled) => settled?,
            Err(_) => tracing::warn!(
                relay = self.config.name,
                "stopped before all rows were acknowledged: they will be published again"
            ),
        }
        Ok(())
    }
}

/// What becomes of rows that a read brings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    HandOver,
    /// They stay in the table for the next leader: a relay that is stopped begins nothing new.
    Leave,
}

/// Waits for the next answer or reports, and takes note of them. Reads nothing more.
pub(crate) async fn next(
    term: &mut Term<'_>,
    publisher: &mut impl Publisher,
    read: Read,
) -> QueryResult<Option<Outage>> {
    let mut reports = Vec::new();
    tokio::select! {
        () = publisher.reports(&mut reports), if term.publishes() => {}
        answer = term.answer(), if term.asks() => {
            if let Some(batch) = term.note(answer?).filter(|_| read == Read::HandOver) {
                term.hand_over(batch, publisher);
            }
            return Ok(None);
        }
        else => return Ok(None),
    }
    Ok(term.settle(reports, publisher).await)
}

/// Waits for the statements that are under way: rows that were acknowledged are deleted before the session ends, or the next
/// leader would publish them again.
pub(crate) async fn finish(term: &mut Term<'_>) -> QueryResult<()> {
    while term.asks() {
        let answer = term.answer().await?;
        drop(term.note(answer));
    }
    Ok(())
}

/// Tries suspects first, then does what was asked for parked rows.
async fn one_at_a_time(term: &mut Term<'_>, publisher: &mut impl Publisher) -> QueryResult<Option<Outage>> {
    if let Some(outage) = term.try_suspects(publisher).await? {
        return Ok(Some(outage));
    }
    term.tend_parked(publisher).await
}
