//! What a relay is doing, and what readiness makes of it.

use std::future::ready;
use std::time::Duration;

use service_kit::http::Readiness;
use tokio::sync::watch;

/// What a relay is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It has no session with its database.
    Disconnected,
    /// It can't work in its database now, for this reason: tables or rights are missing, or nothing can be written.
    Waiting(String),
    /// Another relay leads: nudges are passed on.
    StandingBy,
    /// Its mode is external, and no other relay leads. Rows wait, the oldest for so long; nothing is lost.
    NobodyLeads(Duration),
    /// It publishes.
    Leading,
    /// It leads and can't publish, for this reason. Rows wait; nothing is lost.
    Outage(String),
}

/// Tells what a relay is doing, for readiness.
#[derive(Clone, Debug)]
pub struct Health(watch::Receiver<State>);

impl Health {
    pub(crate) fn of(state: &watch::Sender<State>) -> Self {
        Self(state.subscribe())
    }

    /// Now.
    pub fn state(&self) -> State {
        self.0.borrow().clone()
    }

    /// Whether the relay does what it can: it leads and publishes, or stands by.
    pub fn well(&self) -> bool {
        self.works().is_ok()
    }

    /// The same in words.
    ///
    /// # Errors
    /// Why it can do nothing now.
    pub fn works(&self) -> Result<(), String> {
        match self.state() {
            State::StandingBy | State::NobodyLeads(_) | State::Leading => Ok(()),
            State::Disconnected => Err("it has no session with its database".to_owned()),
            State::Waiting(why) | State::Outage(why) => Err(why),
        }
    }

    /// Whether any relay publishes what is appended here, or has nothing to publish.
    ///
    /// # Errors
    /// None does, and how long the oldest row has waited.
    pub fn outbox_is_read(&self) -> Result<(), String> {
        match self.state() {
            State::NobodyLeads(oldest) => Err(format!(
                "no relay leads, and this one may not (RELAY=external): events wait here, the oldest for {} s",
                oldest.as_secs()
            )),
            _ => Ok(()),
        }
    }

    /// Has `/readyz` ask both. A service whose outbox nobody reads is degraded: it serves, and nobody hears of it.
    #[must_use]
    pub fn asked_by(self, readiness: Readiness) -> Readiness {
        let relay = self.clone();
        readiness
            .and_told("relay", move || ready(relay.works()))
            .and_able("outbox", move || ready(self.outbox_is_read()))
    }
}
