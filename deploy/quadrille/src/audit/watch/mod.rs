//! Watches what must hold: looks at what is new again and again, and at everything when asked.
//!
//! What is new are the orders of the last hour, by the time in their ids, with all that databases, topics and the gateway's journal
//! have of them; and every stock level. It does not see what becomes of older orders, and of products and customers nothing is
//! looked at: a whole look does that. A look reads of topics and of the journal what came within that hour. After it the watch
//! rests for so much longer than it took that it takes two per cent of a core at most.

mod http;
mod look;
mod state;
#[cfg(test)]
mod tests;
mod told;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub(crate) use self::http::{routes, serve};
use self::look::{Look, Wish};
use self::state::State;
use self::told::Told;
use super::sources::Sources;
use super::start::{Reached, SLACK, Start, id_before};
use super::{Audit, Options};

/// For how long an order is new: until well after every deadline and whatever is to come ten minutes later.
const NEW: TimeDelta = TimeDelta::hours(1);
/// How many times longer than it looked it rests.
const RESTS: u32 = 49;
/// The least rest while somebody watches, and while nobody does.
const LIVELY: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_secs(300);
/// The longest rest; after a look to which not everything answered, so that what it found is soon put right.
const LONGEST: Duration = Duration::from_secs(600);
/// While somebody watches: they have mended something, and want to see that it holds.
const LONGEST_WATCHED: Duration = Duration::from_secs(60);
const LONGEST_IN_TROUBLE: Duration = Duration::from_secs(30);
/// Whoever has asked so long ago watches no more.
const WATCHED: Duration = Duration::from_secs(120);

/// What was seen last, and who looks.
#[derive(Clone)]
pub(crate) struct Watch(Arc<Inner>);

struct Inner {
    look: Look,
    stop: CancellationToken,
    state: Mutex<State>,
    asked: Notify,
}

impl Watch {
    pub fn of(sources: Sources, stop: CancellationToken) -> Self {
        Self::by(look::of(sources, stop.clone()), stop)
    }

    fn by(look: Look, stop: CancellationToken) -> Self {
        Self(Arc::new(Inner { look, stop, state: Mutex::default(), asked: Notify::new() }))
    }

    /// Looks at what is new until it is told to stop.
    pub async fn run(self) {
        let mut rest = Rest::default();
        while self.rests(rest).await {
            rest = self.look_at_what_is_new().await;
        }
    }

    /// What was seen last. Whoever asks watches for a while.
    fn told(&self) -> Told {
        let mut state = self.state();
        let is_new = state.asked.replace(Instant::now()).is_none_or(|asked| asked.elapsed() > WATCHED);
        if is_new {
            self.0.asked.notify_one();
        }
        Told::of(&state, Utc::now())
    }

    /// Rests for as long as it takes; false if it is told to stop.
    async fn rests(&self, rest: Rest) -> bool {
        let began = Instant::now();
        loop {
            let left = {
                let mut state = self.state();
                let is_watched = state.asked.is_some_and(|asked| asked.elapsed() < WATCHED);
                let left = rest.after(is_watched).saturating_sub(began.elapsed());
                state.next_at = Some(Utc::now() + TimeDelta::from_std(left).unwrap_or_default());
                left
            };
            if left.is_zero() {
                return true;
            }
            tokio::select! {
                () = self.0.stop.cancelled() => return false,
                () = sleep(left) => {}
                () = self.0.asked.notified() => {}
            }
        }
    }

    async fn look_at_what_is_new(&self) -> Rest {
        let (began, since) = (Instant::now(), Utc::now() - NEW);
        let reached = Arc::new(Reached::default());
        let journal = {
            let mut state = self.state();
            state.next_at = None;
            state.new.begins(Utc::now(), &reached);
            state.journal_before(since - SLACK)
        };
        let options = Options { after: Some(id_before(since)), since: Some(since), ..Options::default() };
        let looked = (self.0.look)(Wish { options, start: Start { journal, reached } }).await;
        let rest = match &looked {
            Ok(looked) => {
                let is_whole = looked.audit.rules.iter().all(|rule| rule.unchecked.is_none());
                let in_trouble = !is_whole || looked.audit.stopped.is_some();
                Rest { worked: began.elapsed().saturating_sub(looked.paused), in_trouble }
            }
            Err(_) => Rest { worked: began.elapsed(), in_trouble: true },
        };
        let mut state = self.state();
        if let Some(mark) = looked.as_ref().ok().and_then(|looked| looked.mark.clone()) {
            state.notes_mark(mark);
        }
        state.new.ends(Utc::now(), Some(since), looked.map(|looked| looked.audit));
        rest
    }

    /// Begins a look at everything. Fails if one is under way.
    fn begin_whole(&self) -> Result<(), UnderWay> {
        let reached = Arc::new(Reached::default());
        {
            let mut state = self.state();
            if let Some(began_at) = state.whole.began_at() {
                return Err(UnderWay { began_at });
            }
            state.whole.begins(Utc::now(), &reached);
        }
        let watch = self.clone();
        tokio::spawn(async move {
            let wish = Wish { options: Options::default(), start: Start { journal: None, reached } };
            let looked = (watch.0.look)(wish).await;
            watch.state().whole.ends(Utc::now(), None, looked.map(|looked| looked.audit));
        });
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look at everything is under way already.
#[derive(Debug)]
struct UnderWay {
    began_at: DateTime<Utc>,
}

/// What a look took, after which there is a rest.
#[derive(Debug, Clone, Copy, Default)]
struct Rest {
    /// Without the pauses in which it waited for what was suspected.
    worked: Duration,
    /// Not everything answered.
    in_trouble: bool,
}

impl Rest {
    fn after(self, is_watched: bool) -> Duration {
        let longest = match (self.in_trouble, is_watched) {
            (true, _) => LONGEST_IN_TROUBLE,
            (false, true) => LONGEST_WATCHED,
            (false, false) => LONGEST,
        };
        let least = if is_watched { LIVELY } else { QUIET };
        self.worked.saturating_mul(RESTS).min(longest).max(least)
    }
}
