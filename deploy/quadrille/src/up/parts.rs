//! The parts of a run, each of which somebody may stop, start, freeze, let go on and kill, to see what the others do.

use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use quadrille_servers::process::Identity;
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What is done with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Switch {
    /// Ends in order, and is not started again.
    Stop,
    Start,
    /// Stands still where it is, with its connections open.
    Freeze,
    Continue,
    /// Ends at once, and is started again.
    Kill,
}

impl Switch {
    pub const ALL: [Self; 5] = [Self::Stop, Self::Start, Self::Freeze, Self::Continue, Self::Kill];
    /// Of a part with which all others end, and which is started again with them.
    pub const WITHOUT_A_STOP: [Self; 3] = [Self::Freeze, Self::Continue, Self::Kill];
    pub const NAMES: &str = "stop, start, freeze, continue or kill";

    /// What ends it.
    pub const fn opposite(self) -> Option<Self> {
        match self {
            Self::Stop => Some(Self::Start),
            Self::Freeze => Some(Self::Continue),
            Self::Start | Self::Continue | Self::Kill => None,
        }
    }
}

impl FromStr for Switch {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "stop" => Ok(Self::Stop),
            "start" => Ok(Self::Start),
            "freeze" => Ok(Self::Freeze),
            "continue" => Ok(Self::Continue),
            "kill" => Ok(Self::Kill),
            _ => Err(()),
        }
    }
}

/// Why a part was not switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unswitched {
    /// It hasn't this switch.
    HasNot,
    /// There is no process of it now.
    NotThere,
}

/// A part as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct PartTold {
    pub name: &'static str,
    /// `running`, `frozen`, `stopping`, `stopped`, or `starting`, once it has died.
    pub state: &'static str,
    pub pid: Option<i32>,
    pub switches: Vec<Switch>,
}

/// What its supervisor and those who switch it share.
#[derive(Debug)]
pub(super) struct Part {
    name: &'static str,
    switches: &'static [Switch],
    /// Whether it is to run.
    wanted: watch::Sender<bool>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// How often it was switched.
    presses: u64,
    /// The process that was frozen. One that has come after it is not.
    frozen: Option<Identity>,
}

impl Part {
    pub fn new(name: &'static str, switches: &'static [Switch]) -> Self {
        Self { name, switches, wanted: watch::Sender::new(true), inner: Mutex::default() }
    }

    /// Waits until it is to run; false if the run ends before.
    pub async fn until_wanted(&self, stop: &CancellationToken) -> bool {
        let mut wanted = self.wanted.subscribe();
        let waiting = stop.run_until_cancelled(wanted.wait_for(|wanted| *wanted));
        waiting.await.is_some_and(|found| found.is_ok())
    }

    /// Waits until it is not to run.
    pub async fn until_unwanted(&self) {
        let mut wanted = self.wanted.subscribe();
        // The sender is ours, so it is there.
        wanted.wait_for(|wanted| !*wanted).await.ok();
    }

    /// Switches it, where `process` is the one that runs now. Returns how often it was switched by then.
    pub fn switch(&self, switch: Switch, process: Option<&Identity>) -> Result<u64, Unswitched> {
        if !self.switches.contains(&switch) {
            return Err(Unswitched::HasNot);
        }
        let mut inner = self.inner();
        match switch {
            Switch::Stop | Switch::Start => {
                self.wanted.send_replace(switch == Switch::Start);
            }
            Switch::Freeze => {
                let process = process.filter(|process| process.freeze()).ok_or(Unswitched::NotThere)?;
                inner.frozen = Some(process.clone());
            }
            Switch::Continue => {
                inner.frozen = None;
                process.filter(|process| process.thaw()).ok_or(Unswitched::NotThere)?;
            }
            Switch::Kill => {
                process.filter(|process| process.kill()).ok_or(Unswitched::NotThere)?;
            }
        }
        inner.presses += 1;
        Ok(inner.presses)
    }

    /// Does the opposite, unless it was switched again since then.
    pub fn undo(&self, switch: Switch, presses: u64, process: Option<&Identity>) {
        let is_last = self.inner().presses == presses;
        if let Some(opposite) = switch.opposite().filter(|_| is_last) {
            self.switch(opposite, process).ok();
        }
    }

    pub fn told(&self, process: Option<&Identity>) -> PartTold {
        let (is_wanted, inner) = (*self.wanted.borrow(), self.inner());
        let state = match (process, is_wanted) {
            (Some(process), _) if inner.frozen.as_ref() == Some(process) => "frozen",
            (Some(_), true) => "running",
            (Some(_), false) => "stopping",
            (None, true) => "starting",
            (None, false) => "stopped",
        };
        let pid = process.map(|process| process.pid);
        PartTold { name: self.name, state, pid, switches: self.switches.to_vec() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
