//! A circuit breaker: while a server outside is away, the waiting is the server's and not that of each call to it.
//!
//! A server that is down for a night would otherwise cost a failed attempt, a later due time and an update for each of a
//! million calls, and once it is back the calls would still sit out their own waits. With the breaker open, one call every
//! second is a probe. It is put back untouched when it fails; the first that gets through closes the breaker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// The least time between two probes.
pub const PROBE_EVERY: Duration = Duration::from_secs(1);
/// A cause is kept up to this length.
const CAUSE_CHARS: usize = 300;

/// The breaker of one server. Cheap to clone: clones share it.
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    server: &'static str,
    state: Arc<Mutex<State>>,
}

/// What is known of the server; every method takes the time.
#[derive(Debug, Default)]
struct State {
    last_reached: Option<Instant>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    outage: Outage,
    next_probe: Instant,
}

/// Since when a server has been away, and what the last attempt said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When the first call failed.
    pub since: DateTime<Utc>,
    /// Why the latest call failed.
    pub cause: String,
}

/// A call that has begun: when it fails, it says nothing about a server that was reached since.
#[derive(Clone, Copy, Debug)]
#[must_use = "say what came of it: `reached`, `unreachable` or `not_called`"]
pub struct Begun(Instant);

impl CircuitBreaker {
    /// A closed breaker. `server` names the server in the log and in metrics.
    pub fn new(server: &'static str) -> Self {
        Self { server, state: Arc::default() }
    }

    /// How long to wait until a call may be taken: nothing while the breaker is closed, or a probe is due.
    pub fn wait(&self) -> Duration {
        self.state().wait(Instant::now())
    }

    /// How many calls may be taken where there is room for so many.
    pub fn admits(&self, room: usize) -> usize {
        self.state().admits(room, Instant::now())
    }

    /// A call was taken: while the breaker is open, it is the probe, and the next one has to wait.
    pub fn taken(&self) {
        self.state().next_probe_at(Instant::now() + PROBE_EVERY);
    }

    /// The call that was taken turned out not to need the server: another may be the probe at once.
    pub fn not_called(&self) {
        self.state().next_probe_at(Instant::now());
    }

    /// The server is about to be called.
    pub fn begin(&self) -> Begun {
        Begun(Instant::now())
    }

    /// The server answered, whatever it said.
    pub fn reached(&self) {
        if let Some(outage) = self.state().reached(Instant::now()) {
            self.gauge(false);
            tracing::info!(server = self.server, away_since = %outage.since, "the server is back");
        }
    }

    /// The server could not be reached, or takes no calls from anybody now.
    pub fn unreachable(&self, begun: Begun, cause: &str) {
        if self.state().unreachable(begun, cause, Instant::now()) {
            self.gauge(true);
            tracing::warn!(server = self.server, cause, "the server is away: one call a second probes it, others wait");
        }
    }

    /// The outage, while there is one.
    pub fn outage(&self) -> Option<Outage> {
        self.state().open.as_ref().map(|open| open.outage.clone())
    }

    fn gauge(&self, away: bool) {
        metrics::gauge!("outside_server_away", "server" => self.server).set(f64::from(u8::from(away)));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // nothing here can panic half way
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&self, now: Instant) -> Duration {
        self.open.as_ref().map_or(Duration::ZERO, |open| open.next_probe.saturating_duration_since(now))
    }

    fn admits(&self, room: usize, now: Instant) -> usize {
        match &self.open {
            None => room,
            Some(open) if open.next_probe <= now => room.min(1),
            Some(_) => 0,
        }
    }

    fn next_probe_at(&mut self, at: Instant) {
        if let Some(open) = &mut self.open {
            open.next_probe = at;
        }
    }

    /// The outage that has ended with this, if one has.
    fn reached(&mut self, now: Instant) -> Option<Outage> {
        self.last_reached = Some(now);
        self.open.take().map(|open| open.outage)
    }

    /// Whether an outage begins with this.
    fn unreachable(&mut self, begun: Begun, cause: &str, now: Instant) -> bool {
        if self.last_reached.is_some_and(|reached| reached > begun.0) {
            return false;
        }
        let cause: String = cause.chars().take(CAUSE_CHARS).collect();
        match &mut self.open {
            Some(open) => open.outage.cause = cause,
            None => {
                let outage = Outage { since: Utc::now(), cause };
                self.open = Some(Open { outage, next_probe: now + PROBE_EVERY });
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_breaker_admits_one_probe_a_second_and_closes_when_one_gets_through() {
        let (mut server, mut now) = (State::default(), Instant::now());
        assert_eq!(server.admits(8, now), 8);
        assert!(server.unreachable(Begun(now), "connection refused", now));
        for _ in 0..3 {
            assert_eq!((server.admits(8, now), server.wait(now)), (0, PROBE_EVERY));
            now += PROBE_EVERY;
            assert_eq!((server.admits(8, now), server.wait(now)), (1, Duration::ZERO));
            server.next_probe_at(now + PROBE_EVERY);
            assert_eq!(server.admits(8, now), 0, "the probe is under way");
            assert!(!server.unreachable(Begun(now), "still refused", now), "the same outage");
        }
        assert_eq!(server.reached(now).map(|outage| outage.cause).as_deref(), Some("still refused"));
        assert_eq!((server.admits(8, now), server.wait(now)), (8, Duration::ZERO));
    }

    #[test]
    fn a_call_that_began_before_the_server_was_reached_says_nothing_about_it() {
        let (mut server, before) = (State::default(), Instant::now());
        let now = before + PROBE_EVERY;
        assert_eq!(server.reached(now), None);
        assert!(!server.unreachable(Begun(before), "timed out", now));
        assert_eq!(server.admits(8, now), 8);
    }

    #[test]
    fn a_call_that_needs_no_server_does_not_use_up_the_probe() {
        let (mut server, now) = (State::default(), Instant::now());
        server.unreachable(Begun(now), "connection refused", now);
        server.next_probe_at(now + PROBE_EVERY);
        server.next_probe_at(now);
        assert_eq!(server.admits(8, now), 1);
    }
}
