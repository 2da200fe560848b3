//! The relay's state, and the readiness that follows from it.

use std::future::ready;
use std::time::Duration;

use service_kit::http::Readiness;
use tokio::sync::watch;

/// What a relay is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It has no session with its database.
    Disconnected,
    /// It can't work in its database, for this reason: tables or rights are missing, or the database is read-only.
    Waiting(String),
    /// Another relay leads, and this one passes nudges on to it.
    StandingBy,
    /// Its mode is external and no other relay leads. The oldest pending row has waited for so long; nothing is lost.
    NobodyLeads(Duration),
    /// It leads and publishes.
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

    /// The relay's present state.
    pub fn state(&self) -> State {
        self.0.borrow().clone()
    }

    /// Whether the relay works: it leads and publishes, or stands by.
    pub fn well(&self) -> bool {
        self.works().is_ok()
    }

    /// Like [`well`](Self::well), with the reason.
    ///
    /// # Errors
    /// The reason why the relay can't work: no session with the database, missing tables or rights, an outage of the broker.
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
    /// No relay leads and rows wait: the text says for how long the oldest has waited.
    pub fn outbox_is_read(&self) -> Result<(), String> {
        match self.state() {
            State::NobodyLeads(oldest) => Err(format!(
                "no relay leads, and this one may not (RELAY=external): events wait here, the oldest for {} s",
                oldest.as_secs()
            )),
            _ => Ok(()),
        }
    }

    /// Adds both checks to `/readyz`. A service whose outbox nobody reads is degraded: it serves requests, but its events
    /// reach nobody.
    #[must_use]
    pub fn asked_by(self, readiness: Readiness) -> Readiness {
        let relay = self.clone();
        readiness
            .and_told("relay", move || ready(relay.works()))
            .and_able("outbox", move || ready(self.outbox_is_read()))
    }
}
