//! How long to wait before a dead child is started again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const CAP: Duration = Duration::from_secs(10);
/// A child that has run this long was well, and its next wait is short again.
const WELL_AFTER: Duration = Duration::from_secs(20);

/// Doubles from 200 ms to 10 s, with jitter, so that children that died together don't come back together.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    deaths: u32,
}

impl Backoff {
    /// The wait after a child that lived this long.
    pub fn after_life_of(&mut self, lived: Duration) -> Duration {
        if lived >= WELL_AFTER {
            self.deaths = 0;
        }
        let wait = FIRST.saturating_mul(1 << self.deaths.min(16)).min(CAP);
        self.deaths = self.deaths.saturating_add(1);
        wait.mul_f64(rand::random_range(0.75..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_cap_and_never_past_it() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..50).map(|_| backoff.after_life_of(Duration::ZERO)).collect();
        assert!(waits[0] <= FIRST);
        assert!(waits.iter().all(|wait| *wait <= CAP));
        assert!(waits[49] >= CAP.mul_f64(0.75));
    }

    #[test]
    fn who_was_well_for_a_while_begins_with_a_short_wait_again() {
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            backoff.after_life_of(Duration::ZERO);
        }
        assert!(backoff.after_life_of(WELL_AFTER) <= FIRST);
    }
}
