//! What the watch answers.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::super::findings::Finding;
use super::super::start::Progress;
use super::super::{SHOWN, Verdict};
use super::NEW;
use super::state::{Holds, Last, Place, State};

/// What was seen last, as it was at one moment.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    at: DateTime<Utc>,
    /// For how long an order is new.
    new_for_seconds: i64,
    /// When what is new is looked at again; null while it is.
    next_at: Option<DateTime<Utc>>,
    new: PlaceTold,
    whole: PlaceTold,
}

#[derive(Debug, Serialize)]
struct PlaceTold {
    /// Since when a look is under way; null if none is.
    looking_since: Option<DateTime<Utc>>,
    progress: Option<Progress>,
    /// The last look; null if there was none.
    last: Option<LastTold>,
    /// Why a look came to nothing after that.
    trouble: Option<Trouble>,
}

#[derive(Debug, Serialize)]
struct Trouble {
    at: DateTime<Utc>,
    why: String,
}

#[derive(Debug, Serialize)]
struct LastTold {
    began_at: DateTime<Utc>,
    ended_at: DateTime<Utc>,
    seconds: f64,
    placed_since: Option<DateTime<Utc>>,
    holds: bool,
    /// Why it ended before its time.
    stopped: Option<String>,
    rules: Vec<Rule>,
}

#[derive(Debug, Serialize)]
struct Rule {
    number: u8,
    rule: String,
    /// `holds`, `broken`, `unchecked`, or `so_far`.
    state: &'static str,
    /// Since when it is that, as far as this watch knows.
    since: DateTime<Utc>,
    figures: String,
    /// Where it is broken: the first twenty.
    broken: Vec<Finding>,
    /// How many more there are.
    more: usize,
    unchecked: Option<String>,
}

impl Told {
    pub fn of(state: &State, at: DateTime<Utc>) -> Self {
        let (new, whole) = (PlaceTold::of(&state.new), PlaceTold::of(&state.whole));
        Self { at, new_for_seconds: NEW.num_seconds(), next_at: state.next_at, new, whole }
    }
}

impl PlaceTold {
    fn of(place: &Place) -> Self {
        Self {
            looking_since: place.began_at(),
            progress: place.progress(),
            last: place.last.as_ref().map(|last| LastTold::of(last, place)),
            trouble: place.trouble.clone().map(|(at, why)| Trouble { at, why }),
        }
    }
}

impl LastTold {
    fn of(last: &Last, place: &Place) -> Self {
        let Last { began_at, ended_at, placed_since, audit } = last;
        let rule = |verdict: &Verdict| {
            let holds = Holds::of(verdict, audit);
            let since = place.since.get(&verdict.number).map_or(*began_at, |(_, since)| *since);
            Rule::of(verdict, holds, since)
        };
        Self {
            began_at: *began_at,
            ended_at: *ended_at,
            seconds: audit.seconds,
            placed_since: *placed_since,
            holds: audit.holds,
            stopped: audit.stopped.clone(),
            rules: audit.rules.iter().map(rule).collect(),
        }
    }
}

impl Rule {
    fn of(verdict: &Verdict, holds: Holds, since: DateTime<Utc>) -> Self {
        let state = match holds {
            Holds::Yes => "holds",
            Holds::No => "broken",
            Holds::Unchecked => "unchecked",
            Holds::SoFar => "so_far",
        };
        let broken: Vec<_> = verdict.broken.iter().take(SHOWN).cloned().collect();
        Self {
            number: verdict.number,
            rule: verdict.rule.clone(),
            state,
            since,
            figures: verdict.figures.clone(),
            more: verdict.broken.len() - broken.len() + verdict.more,
            broken,
            unchecked: verdict.unchecked.clone(),
        }
    }
}
