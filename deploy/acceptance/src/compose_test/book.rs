//! Every order that the test placed: how it is to end, and how it did.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;

use super::shell::a_moment;
use crate::report::say;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Plan {
    /// Confirmed and paid; its parcel waits.
    Confirm,
    /// Dispatched and delivered, too.
    Complete,
    /// The card is refused.
    Decline,
    /// There are too few.
    Short,
    /// The customer cancels right away.
    Cancel,
}

impl Plan {
    /// A mix: of ten, six confirmed and one of each other.
    pub const fn of(number: usize) -> Self {
        match number % 10 {
            3 => Self::Complete,
            5 => Self::Decline,
            7 => Self::Short,
            9 => Self::Cancel,
            _ => Self::Confirm,
        }
    }

    /// Status and reason at the end.
    pub const fn end(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Confirm => ("confirmed", None),
            Self::Complete => ("completed", None),
            Self::Decline => ("cancelled", Some("payment_declined")),
            Self::Short => ("cancelled", Some("out_of_stock")),
            Self::Cancel => ("cancelled", Some("customer")),
        }
    }

    /// Whether it ends paid, with its goods gone from the shelf.
    pub const fn is_sold(self) -> bool {
        matches!(self, Self::Confirm | Self::Complete)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub plan: Plan,
    /// Once it was accepted.
    pub id: Option<String>,
    pub accepted: Option<Instant>,
    pub ended: Option<Instant>,
    pub wrong: Option<String>,
    /// A point has failed because of it; the next need not.
    told: bool,
}

impl Entry {
    fn is_open(&self) -> bool {
        self.ended.is_none() && self.wrong.is_none()
    }
}

/// All of them; a clone is another handle of the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Book(Arc<Mutex<Vec<Entry>>>);

impl Book {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, number: usize, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries().get_mut(number) {
            change(entry);
        }
    }

    /// Notes an order that is about to be placed; returns its number.
    pub fn open(&self, plan: Plan) -> usize {
        let mut entries = self.entries();
        entries.push(Entry { plan, id: None, accepted: None, ended: None, wrong: None, told: false });
        entries.len() - 1
    }

    pub fn accepted(&self, number: usize, id: &str) {
        self.change(number, |entry| (entry.id, entry.accepted) = (Some(id.to_owned()), Some(Instant::now())));
    }

    pub fn ended(&self, number: usize, outcome: anyhow::Result<()>) {
        self.change(number, |entry| match outcome {
            Ok(()) => entry.ended = Some(Instant::now()),
            Err(error) => entry.wrong = Some(format!("{error:#}")),
        });
    }

    pub fn all(&self) -> Vec<Entry> {
        self.entries().clone()
    }

    /// How many were accepted since then.
    pub fn accepted_since(&self, moment: Instant) -> usize {
        self.entries().iter().filter(|entry| entry.accepted.is_some_and(|accepted| accepted >= moment)).count()
    }

    /// How many were accepted and haven't ended.
    pub fn in_flight(&self) -> usize {
        self.entries().iter().filter(|entry| entry.accepted.is_some() && entry.is_open()).count()
    }

    /// How many have ended, by plan.
    pub fn figures(&self) -> String {
        let mut by_plan = BTreeMap::<Plan, usize>::new();
        for entry in self.entries().iter().filter(|entry| entry.ended.is_some()) {
            *by_plan.entry(entry.plan).or_default() += 1;
        }
        let named = by_plan.iter().map(|(plan, count)| match plan.end() {
            (status, None) => format!("{count} {status}"),
            (_, Some(reason)) => format!("{count} {reason}"),
        });
        named.collect::<Vec<_>>().join(", ")
    }

    /// Waits until every order that is noted now has ended. Fails if one ended otherwise than planned, or not in time.
    pub async fn settled(&self, within: Duration) -> anyhow::Result<()> {
        let (count, began) = (self.entries().len(), Instant::now());
        let mut told = began;
        loop {
            let open = {
                let mut entries = self.entries();
                let untold = entries.iter_mut().filter(|entry| entry.wrong.is_some() && !entry.told);
                let wrong: Vec<_> = untold
                    .filter_map(|entry| {
                        entry.told = true;
                        entry.wrong.clone()
                    })
                    .collect();
                if let Some(first) = wrong.first() {
                    bail!("{} orders went wrong; the first: {first}", wrong.len());
                }
                entries.iter().take(count).filter(|entry| entry.is_open()).count()
            };
            if open == 0 {
                return Ok(());
            }
            if began.elapsed() >= within {
                let entries = self.entries();
                let first = entries.iter().take(count).find(|entry| entry.is_open()).map(|entry| entry.id.clone());
                bail!("{open} of {count} orders have not ended {} s later; the first: {first:?}", within.as_secs());
            }
            if told.elapsed() >= Duration::from_secs(10) {
                told = Instant::now();
                say(&format!("      {open} orders have not ended yet, {} s", began.elapsed().as_secs()));
            }
            a_moment().await;
        }
    }
}
