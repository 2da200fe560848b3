//! When to look at an order whose page is open: at once when something was heard of it, and now and then anyway.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

/// When something was heard, these are the times to look: order-svc may hear the same a moment later.
const AFTER_A_CHANGE: [Duration; 3] = [Duration::ZERO, Duration::from_millis(250), Duration::from_secs(1)];
/// No look comes sooner after another.
const LEAST: Duration = Duration::from_millis(100);
/// After a look that saw something new or nothing at all, the next comes then, unless something is heard before.
const SHORTEST: Duration = Duration::from_secs(3);
/// Of an order about which nothing is heard a change is heard, as a rule.
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Looks {
    at: BTreeSet<Instant>,
    last: Option<Instant>,
    patience: Duration,
    /// Whether something was heard since the last look, or not long before it.
    pub is_due_to_a_change: bool,
}

impl Looks {
    /// At once.
    pub fn beginning(now: Instant) -> Self {
        Self { at: BTreeSet::from([now]), last: None, patience: SHORTEST, is_due_to_a_change: true }
    }

    pub fn due(&self) -> Instant {
        let first = self.at.first().copied();
        let due = first.unwrap_or_else(|| self.last.map_or_else(Instant::now, |last| last + self.patience));
        self.last.map_or(due, |last| due.max(last + LEAST))
    }

    pub fn heard(&mut self, now: Instant) {
        // A burst of changes needs no look for each: what is due already stays so, and what comes later moves on.
        let soonest = self.at.first().copied().filter(|first| *first < now);
        self.at = AFTER_A_CHANGE.iter().map(|after| now + *after).chain(soonest).collect();
        self.is_due_to_a_change = true;
    }

    /// Something new was seen, or the look failed: the next one comes soon.
    pub fn saw_news(&mut self) {
        self.patience = SHORTEST;
    }

    pub fn done(&mut self, now: Instant) {
        let by_itself = self.last.is_some() && !self.is_due_to_a_change;
        self.at.retain(|at| *at > now);
        self.is_due_to_a_change = !self.at.is_empty();
        self.last = Some(now);
        if by_itself {
            self.patience = (self.patience * 2).min(LONGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_heard_is_looked_at_three_times_and_then_seldom() {
        let now = Instant::now();
        let mut looks = Looks::beginning(now);
        assert_eq!(looks.due(), now);
        looks.done(now + MOMENT);
        assert!(!looks.is_due_to_a_change);
        assert_eq!(looks.due(), now + MOMENT + SHORTEST);
        let heard = now + Duration::from_secs(1);
        looks.heard(heard);
        for after in AFTER_A_CHANGE {
            assert_eq!(looks.due(), heard + after);
            looks.done(heard + after + MOMENT);
        }
        let mut waited = Vec::new();
        for _ in 0..6 {
            let (due, last) = (looks.due(), looks.last.unwrap());
            waited.push((due - last).as_secs());
            looks.done(due);
        }
        assert_eq!(waited, [3, 6, 12, 24, 30, 30]);
        looks.saw_news();
        assert_eq!(looks.due(), looks.last.unwrap() + SHORTEST);
    }

    #[test]
    fn a_burst_of_changes_is_not_a_burst_of_looks() {
        let now = Instant::now();
        let mut looks = Looks::beginning(now);
        looks.done(now);
        for millis in 0..1_000 {
            looks.heard(now + Duration::from_millis(millis));
        }
        assert!(looks.at.len() <= AFTER_A_CHANGE.len() + 1);
        assert_eq!(looks.due(), now + LEAST, "a burst does not keep it from being looked at");
    }
}
