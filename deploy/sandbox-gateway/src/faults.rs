//! What is to go wrong, switched at run time by `PUT /sandbox/faults` and kept in the database over a restart.

use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::StripeError;

/// How long an answer may be held back, at most.
const LONGEST_DELAY_MS: u64 = 60_000;

/// All switches; what isn't said is off.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every confirmation is declined with this code.
    pub decline: Option<Decline>,
    /// Every confirmation waits for the customer.
    pub action_required: bool,
    /// Every capture fails.
    pub capture_fails: bool,
    /// Every operation is done, but its first answer is withheld: a time-out that has succeeded.
    pub withhold_answers: bool,
    /// Every answer takes this much longer.
    pub delay_ms: u64,
    /// The share of requests that are answered 500, from 0 to 1. Half of those were done all the same.
    pub failure_rate: f64,
    pub webhooks: WebhookFaults,
}

/// How webhooks go wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookFaults {
    /// Each event is delivered twice.
    pub duplicate: bool,
    /// Each delivery waits up to two seconds, by chance, so that they overtake each other.
    pub reorder: bool,
    /// No event is written down for delivery.
    pub lose: bool,
}

/// A bank's reason, as Stripe writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decline {
    ExpiredCard,
    GenericDecline,
    InsufficientFunds,
    IssuerNotAvailable,
    ProcessingError,
    StolenCard,
    TryAgainLater,
}

impl Decline {
    pub fn error(self) -> StripeError {
        let code = match self {
            Self::ExpiredCard => "expired_card",
            Self::GenericDecline => "generic_decline",
            Self::InsufficientFunds => "insufficient_funds",
            Self::IssuerNotAvailable => "issuer_not_available",
            Self::ProcessingError => "processing_error",
            Self::StolenCard => "stolen_card",
            Self::TryAgainLater => "try_again_later",
        };
        StripeError::declined(code, "Your card was declined, as PUT /sandbox/faults has it.")
    }
}

impl Faults {
    /// What can't be switched on, if anything: the field and why.
    pub fn refused(&self) -> Option<(&'static str, String)> {
        if self.delay_ms > LONGEST_DELAY_MS {
            return Some(("delay_ms", format!("It is from 0 to {LONGEST_DELAY_MS}.")));
        }
        let is_rate = (0.0..=1.0).contains(&self.failure_rate);
        (!is_rate).then(|| ("failure_rate", "It is from 0 to 1.".to_owned()))
    }

    /// How much longer an answer takes.
    pub const fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }

    /// Whether this request is one that fails, and how.
    pub fn failure(&self) -> Option<Failure> {
        Failure::at(self.failure_rate)
    }
}

/// How a request fails that is answered 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was done.
    Undone,
    /// It was done, and only the answer is lost.
    Unsaid,
}

impl Failure {
    /// Draws at this rate.
    pub fn at(rate: f64) -> Option<Self> {
        let mut chance = rand::rng();
        let fails = rate > 0.0 && chance.random::<f64>() < rate;
        fails.then(|| if chance.random() { Self::Undone } else { Self::Unsaid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_off_and_what_is_unknown_is_refused() {
        assert_eq!(serde_json::from_str::<Faults>("{}").unwrap(), Faults::default());
        assert!(serde_json::from_str::<Faults>(r#"{"colour": "red"}"#).is_err());
        assert!(serde_json::from_str::<Faults>(r#"{"decline": "no_reason"}"#).is_err());
    }

    #[test]
    fn a_rate_is_a_share_and_a_delay_has_an_end() {
        for (text, field) in [
            (r#"{"failure_rate": 1.5}"#, Some("failure_rate")),
            (r#"{"failure_rate": -0.1}"#, Some("failure_rate")),
            (r#"{"delay_ms": 60001}"#, Some("delay_ms")),
            (r#"{"failure_rate": 1, "delay_ms": 60000}"#, None),
        ] {
            let faults: Faults = serde_json::from_str(text).unwrap();
            assert_eq!(faults.refused().map(|(field, _)| field), field, "{text}");
        }
    }

    #[test]
    fn at_a_rate_of_one_everything_fails_and_at_none_nothing_does() {
        assert!((0..100).all(|_| Failure::at(1.0).is_some() && Failure::at(0.0).is_none()));
    }
}
