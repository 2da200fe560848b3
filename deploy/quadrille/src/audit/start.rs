//! From where a look goes, how far it has come, and what it hands on to the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::Audit;

/// Clocks of services, brokers and of whoever looks may differ by this much: so much more than what is new is read.
pub(super) const SLACK: TimeDelta = TimeDelta::minutes(5);

/// Before which order ids of that time lie: an id of version 7 begins with its time.
pub(super) fn id_before(time: DateTime<Utc>) -> Uuid {
    let millis = u128::from(time.timestamp_millis().max(0).unsigned_abs());
    Uuid::from_u128(millis << 80)
}

/// What a look begins with.
#[derive(Debug, Default)]
pub(super) struct Start {
    /// The cursor in the gateway's journal before which nothing is read.
    pub journal: Option<String>,
    /// Where it notes how far it has come.
    pub reached: Arc<Reached>,
}

/// What came of a look.
#[derive(Debug)]
pub(super) struct Looked {
    pub audit: Audit,
    /// How long of its time it did nothing but wait between two looks at what was suspected.
    pub paused: Duration,
    /// How far the gateway's journal was read.
    pub mark: Option<Mark>,
}

/// A place in the gateway's journal, and when all that is before it was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub at: DateTime<Utc>,
    pub cursor: String,
}

/// How far a look has come, for those who wait for it.
#[derive(Debug, Default)]
pub(super) struct Reached {
    /// Ranges of orders that are known so far.
    pub ranges: AtomicUsize,
    /// Those that are done with.
    pub done: AtomicUsize,
    /// Events that were read.
    pub events: AtomicU64,
    /// Whatever was read, by which one sees that something answers.
    steps: AtomicU64,
}

/// The same at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Progress {
    pub ranges: usize,
    pub done: usize,
    pub events: u64,
}

impl Reached {
    /// Something was read.
    pub fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    pub fn now(&self) -> Progress {
        let (ranges, done) = (self.ranges.load(Ordering::Relaxed), self.done.load(Ordering::Relaxed));
        Progress { ranges, done, events: self.events.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_moment_and_later_come_after_the_bound_and_those_before_it_do_not() {
        let bound = id_before("2026-11-30T08:00:00Z".parse().unwrap());
        let made = |time: &str| {
            let time: DateTime<Utc> = time.parse().unwrap();
            let seconds = time.timestamp().unsigned_abs();
            Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, time.timestamp_subsec_nanos()))
        };
        assert!(made("2026-11-30T08:00:00Z") > bound && made("2026-11-30T08:00:00.001Z") > bound);
        assert!(made("2026-11-30T07:59:59.999Z") < bound);
    }
}
