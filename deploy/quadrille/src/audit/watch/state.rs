//! What was seen last of what is new and of everything, and where the next look begins.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use super::super::Verdict;
use super::super::start::{Mark, Progress, Reached};
use super::Audit;

/// How far apart places in the journal are that are remembered.
const APART: TimeDelta = TimeDelta::minutes(1);

#[derive(Default)]
pub(super) struct State {
    pub new: Place,
    pub whole: Place,
    /// When what is new is looked at again; none while it is.
    pub next_at: Option<DateTime<Utc>>,
    /// When somebody asked last.
    pub asked: Option<Instant>,
    /// Places in the gateway's journal, the oldest first.
    marks: VecDeque<Mark>,
}

impl State {
    /// The last place in the gateway's journal before which everything was there at this time. Older ones are forgotten.
    pub fn journal_before(&mut self, time: DateTime<Utc>) -> Option<String> {
        while self.marks.get(1).is_some_and(|mark| mark.at <= time) {
            self.marks.pop_front();
        }
        self.marks.front().filter(|mark| mark.at <= time).map(|mark| mark.cursor.clone())
    }

    pub fn notes_mark(&mut self, mark: Mark) {
        if self.marks.back().is_none_or(|last| mark.at - last.at >= APART) {
            self.marks.push_back(mark);
        }
    }
}

/// A rule as the last look left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    No,
    /// What it needs can't be read.
    Unchecked,
    /// Nothing was found until the look broke off.
    SoFar,
}

impl Holds {
    pub fn of(verdict: &Verdict, audit: &Audit) -> Self {
        match (&verdict.unchecked, verdict.broken.is_empty(), &audit.stopped) {
            (Some(_), _, _) => Self::Unchecked,
            (None, false, _) => Self::No,
            (None, true, None) => Self::Yes,
            (None, true, Some(_)) => Self::SoFar,
        }
    }
}

/// What is looked at: what is new, or everything.
#[derive(Default)]
pub(super) struct Place {
    looking: Option<(DateTime<Utc>, Arc<Reached>)>,
    pub last: Option<Last>,
    /// Each rule, and since when it is as it is.
    pub since: BTreeMap<u8, (Holds, DateTime<Utc>)>,
    /// Why the last look came to nothing, if it did.
    pub trouble: Option<(DateTime<Utc>, String)>,
}

/// The last look that came to an end.
pub(super) struct Last {
    pub began_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
    /// Only orders that were placed since then were looked at.
    pub placed_since: Option<DateTime<Utc>>,
    pub audit: Audit,
}

impl Place {
    pub fn begins(&mut self, now: DateTime<Utc>, reached: &Arc<Reached>) {
        self.looking = Some((now, Arc::clone(reached)));
    }

    /// Since when it is looked at, if it is.
    pub fn began_at(&self) -> Option<DateTime<Utc>> {
        self.looking.as_ref().map(|(began_at, _)| *began_at)
    }

    pub fn progress(&self) -> Option<Progress> {
        self.looking.as_ref().map(|(_, reached)| reached.now())
    }

    pub fn ends(&mut self, now: DateTime<Utc>, placed_since: Option<DateTime<Utc>>, looked: anyhow::Result<Audit>) {
        let began_at = self.looking.take().map_or(now, |(began_at, _)| began_at);
        match looked {
            Ok(audit) => {
                for verdict in &audit.rules {
                    let holds = Holds::of(verdict, &audit);
                    let known = self.since.entry(verdict.number).or_insert((holds, began_at));
                    if known.0 != holds {
                        *known = (holds, began_at);
                    }
                }
                self.last = Some(Last { began_at, ended_at: now, placed_since, audit });
                self.trouble = None;
            }
            Err(error) => self.trouble = Some((now, format!("{error:#}"))),
        }
    }
}
