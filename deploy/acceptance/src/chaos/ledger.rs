//! Every answer that the run was given: what was accepted, how it is to end, and how it did.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::lives::Plan;

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub plan: Plan,
    pub quantity: u32,
    /// Once it was accepted.
    pub id: Option<String>,
    /// From the beginning of the run.
    pub accepted: Option<Duration>,
    pub ended: Option<Duration>,
    pub wrong: Option<String>,
}

/// All of them; a clone is another handle of the same.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    entries: Arc<Mutex<Vec<Entry>>>,
    start: Instant,
}

impl Ledger {
    pub fn new(start: Instant) -> Self {
        Self { entries: Arc::default(), start }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, number: usize, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries().get_mut(number) {
            change(entry);
        }
    }

    /// Notes an order that is about to be placed; returns its number.
    pub fn open(&self, plan: Plan, quantity: u32) -> usize {
        let mut entries = self.entries();
        entries.push(Entry { plan, quantity, id: None, accepted: None, ended: None, wrong: None });
        entries.len() - 1
    }

    pub fn accepted(&self, number: usize, id: &str) {
        let now = self.start.elapsed();
        self.change(number, |entry| (entry.id, entry.accepted) = (Some(id.to_owned()), Some(now)));
    }

    pub fn ended(&self, number: usize, outcome: anyhow::Result<()>) {
        let now = self.start.elapsed();
        self.change(number, |entry| match outcome {
            Ok(()) => entry.ended = Some(now),
            Err(error) => {
                let of = entry.id.as_deref().unwrap_or("that was not accepted");
                entry.wrong = Some(format!("order {of} ({:?}): {error:#}", entry.plan));
            }
        });
    }

    pub fn all(&self) -> Vec<Entry> {
        self.entries().clone()
    }

    /// How many were accepted, and how many of all that were begun have neither ended nor failed.
    pub fn counts(&self) -> (usize, usize) {
        let entries = self.entries();
        let accepted = entries.iter().filter(|entry| entry.accepted.is_some()).count();
        let open = entries.iter().filter(|entry| entry.ended.is_none() && entry.wrong.is_none()).count();
        (accepted, open)
    }

    /// How many there are, by plan.
    pub fn by_plan(&self) -> BTreeMap<Plan, usize> {
        let mut by_plan = BTreeMap::new();
        for entry in self.entries().iter().filter(|entry| entry.ended.is_some()) {
            *by_plan.entry(entry.plan).or_default() += 1;
        }
        by_plan
    }

    /// How long after this moment an order was at its end that was accepted after it: whoever comes then is served.
    pub fn served_after(&self, moment: Duration) -> Option<Duration> {
        let entries = self.entries();
        let later = entries.iter().filter(|entry| entry.accepted.is_some_and(|accepted| accepted >= moment));
        later.filter_map(|entry| entry.ended).min().map(|ended| ended - moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_accepted_before_a_fault_ended_does_not_say_that_it_is_over() {
        let ledger = Ledger::new(Instant::now());
        let (early, late) = (ledger.open(Plan::Confirm, 1), ledger.open(Plan::Confirm, 1));
        ledger.accepted(early, "a");
        let moment = ledger.start.elapsed();
        ledger.ended(early, Ok(()));
        assert_eq!(ledger.served_after(moment), None);
        ledger.accepted(late, "b");
        ledger.ended(late, Ok(()));
        assert!(ledger.served_after(moment).is_some());
        assert_eq!(ledger.counts(), (2, 0));
    }
}
