//! Backoff with jitter and a cap, for every loop that retries.

use std::time::{Duration, Instant};

use rand::RngExt;

/// Waits that grow from `first` to `cap`. Each is drawn at random from the upper half of its range, so that many
/// clients that failed together don't retry together.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    attempt: u32,
}

impl Backoff {
    /// Starts at `first`, doubles with each wait, and stays at `cap`.
    pub const fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, attempt: 0 }
    }

    /// How long to wait before the next attempt.
    pub fn next_wait(&mut self) -> Duration {
        let full = wait_after(self.attempt, self.first, self.cap);
        self.attempt = self.attempt.saturating_add(1);
        full
    }

    /// How many waits were taken since the start or the last reset.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Starts again at the first wait, after a success.
    pub const fn reset(&mut self) {
        self.attempt = 0;
    }
}

/// The wait after `attempt` earlier failures (0 at the first), with jitter; for retries whose count is stored in a
/// table.
pub fn wait_after(attempt: u32, first: Duration, cap: Duration) -> Duration {
    let full = first.saturating_mul(1_u32.checked_shl(attempt.min(20)).unwrap_or(u32::MAX)).min(cap);
    full.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// How often a lasting failure is logged.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// A failure that may recur in every round of a loop. It is logged when it begins, and then once a minute while it
/// lasts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recurring {
    told: Option<Instant>,
}

impl Recurring {
    /// Whether `outcome` is a failure that must be logged now.
    pub fn is_news<T, E>(&mut self, outcome: &Result<T, E>) -> bool {
        if outcome.is_ok() {
            self.told = None;
            return false;
        }
        let news = self.told.is_none_or(|told| told.elapsed() >= TELL_AGAIN);
        if news {
            self.told = Some(Instant::now());
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_at_the_cap() {
        let (first, cap) = (Duration::from_millis(10), Duration::from_millis(100));
        let mut backoff = Backoff::new(first, cap);
        let waits: Vec<_> = (0..40).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] <= first && waits[0] >= first / 2);
        assert!(waits[2] >= Duration::from_millis(20));
        assert!(waits.iter().all(|wait| *wait <= cap));
        assert!(waits[39] >= cap / 2);
        backoff.reset();
        assert!(backoff.next_wait() <= first);
    }

    #[test]
    fn a_failure_that_recurs_is_told_when_it_begins_and_not_with_every_round() {
        let (mut recurring, failed) = (Recurring::default(), Err::<(), _>("away"));
        assert!(!recurring.is_news(&Ok::<_, &str>(())));
        let told = (0..1_000).filter(|_| recurring.is_news(&failed)).count();
        assert_eq!(told, 1);
        assert!(!recurring.is_news(&Ok::<_, &str>(())));
        assert!(recurring.is_news(&failed), "it began again");
    }
}
