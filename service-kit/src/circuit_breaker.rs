//! A circuit breaker: during an outage of an external server, the calls wait together instead of each failing by
//! itself.
//!
//! If a server is down for a night, each of a million calls would otherwise cost failed attempts, updates and later
//! due times, and would still sit out its own backoff once the server is back. While the breaker is open, one call a
//! second is a probe. A failed probe is put back unchanged; the first call that gets through closes the breaker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// The least time between two probes.
pub const PROBE_EVERY: Duration = Duration::from_secs(1);
/// The longest error text that is kept.
const CAUSE_CHARS: usize = 300;

/// The breaker of one server. Cheap to clone; clones share their state.
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    server: &'static str,
    state: Arc<Mutex<State>>,
}

/// What is known of the server. Every method takes the time, so that tests need no clock.
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

/// An outage of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When the first call failed.
    pub since: DateTime<Utc>,
    /// Why the latest call failed.
    pub cause: String,
}

/// A call that has begun. Its failure says nothing about a server that was reached after it began.
#[derive(Clone, Copy, Debug)]
#[must_use = "say what came of it: `reached`, `unreachable` or `not_called`"]
pub struct Begun(Instant);

impl CircuitBreaker {
    /// A closed breaker. `server` names the server in logs and metrics.
    pub fn new(server: &'static str) -> Self {
        let breaker = Self { server, state: Arc::default() };
        breaker.gauge(false);
        breaker
    }

    /// How long to wait before taking a call: nothing while the breaker is closed or when a probe is due.
    pub fn wait(&self) -> Duration {
        self.state().wait(Instant::now())
    }

    /// How many calls may be taken, of up to `room`.
    pub fn admits(&self, room: usize) -> usize {
        self.state().admits(room, Instant::now())
    }

    /// Notes that a call was taken. While the breaker is open, that call is the probe, and the next has to wait.
    pub fn taken(&self) {
        self.state().next_probe_at(Instant::now() + PROBE_EVERY);
    }

    /// Notes that the call that was taken didn't need the server after all. Another call may be the probe at once.
    pub fn not_called(&self) {
        self.state().next_probe_at(Instant::now());
    }

    /// Notes that the server is about to be called.
    pub fn begin(&self) -> Begun {
        Begun(Instant::now())
    }

    /// Notes that the server answered, whatever the answer.
    pub fn reached(&self) {
        if let Some(outage) = self.state().reached(Instant::now()) {
            self.gauge(false);
            tracing::info!(server = self.server, away_since = %outage.since, "the server is back");
        }
    }

    /// Notes that the server can't be reached, or refuses calls from everybody now.
    pub fn unreachable(&self, begun: Begun, cause: &str) {
        if self.state().unreachable(begun, cause, Instant::now()) {
            self.gauge(true);
            tracing::warn!(server = self.server, cause, "the server is away: one call a second probes it, others wait");
        }
    }

    /// The current outage, if there is one.
    pub fn outage(&self) -> Option<Outage> {
        self.state().open.as_ref().map(|open| open.outage.clone())
    }

    fn gauge(&self, away: bool) {
        metrics::gauge!("outside_server_away", "server" => self.server).set(f64::from(u8::from(away)));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds this lock can panic half-way, so a poisoned lock still guards a consistent state.
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

    /// Returns the outage that this ends, if any.
    fn reached(&mut self, now: Instant) -> Option<Outage> {
        self.last_reached = Some(now);
        self.open.take().map(|open| open.outage)
    }

    /// Returns whether this begins an outage.
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
