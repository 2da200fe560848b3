use std::time::Duration;

use shared_events::SuppressReason;

/// After so many refusals a notification is given up: about a day, by [`FIRST_WAIT`] and [`LONGEST_WAIT`].
pub const MAX_ATTEMPTS: i32 = 150;
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Why a mail was not taken. The text holds no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The server is away or takes no mail from us at all, which no mail can help.
    #[error("{0}")]
    Unavailable(String),
    /// The server doesn't take this mail now: to be tried again.
    #[error("{0}")]
    Transient(String),
    /// The server will never take this mail.
    #[error("{0}")]
    Permanent(String),
}

impl SendError {
    /// A server that is away. Addresses in `said` are taken out.
    pub fn unavailable(said: impl ToString) -> Self {
        Self::Unavailable(without_addresses(&said.to_string()))
    }

    /// An error that may pass. Addresses in `said` are taken out.
    pub fn transient(said: impl ToString) -> Self {
        Self::Transient(without_addresses(&said.to_string()))
    }

    /// An error that will not pass. Addresses in `said` are taken out.
    pub fn permanent(said: impl ToString) -> Self {
        Self::Permanent(without_addresses(&said.to_string()))
    }
}

/// What came of a notification that was taken to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The mail server has taken it.
    Sent,
    /// The server is away: it is due again, however long that lasts. The circuit breaker does the waiting.
    PutBack { error: String },
    /// The server doesn't take it now: it is due again after this long.
    PutOff { wait: Duration, error: String },
    /// It is not tried again.
    GivenUp { error: String },
    /// It was no longer true, and wasn't sent.
    Suppressed { reason: SuppressReason },
}

impl Verdict {
    /// Decides after the `attempt`-th try, from 1.
    pub fn of(attempt: i32, outcome: Result<(), SendError>) -> Self {
        match outcome {
            Ok(()) => Self::Sent,
            Err(SendError::Unavailable(error)) => Self::PutBack { error },
            Err(SendError::Transient(error)) if attempt < MAX_ATTEMPTS => {
                let failed_before = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0);
                Self::PutOff { wait: service_kit::retry::wait_after(failed_before, FIRST_WAIT, LONGEST_WAIT), error }
            }
            Err(SendError::Transient(error) | SendError::Permanent(error)) => Self::GivenUp { error },
        }
    }

    /// The name in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::PutBack { .. } => "server_away",
            Self::PutOff { .. } => "put_off",
            Self::GivenUp { .. } => "failed",
            Self::Suppressed { .. } => "suppressed",
        }
    }
}

/// Mail servers like to repeat the address that they refuse; it must not reach a log or an event.
fn without_addresses(text: &str) -> String {
    let words = text.split_whitespace().map(|word| if word.contains('@') { "(address)" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_good_is_not_tried_again() {
        let error = "550 no such mailbox".to_owned();
        assert_eq!(Verdict::of(1, Err(SendError::permanent(&error))), Verdict::GivenUp { error });
    }

    #[test]
    fn a_server_that_is_away_is_no_reason_to_give_a_mail_up() {
        let error = "connection refused".to_owned();
        assert_eq!(Verdict::of(MAX_ATTEMPTS, Err(SendError::unavailable(&error))), Verdict::PutBack { error });
    }

    #[test]
    fn a_mail_that_is_not_taken_now_is_tried_for_about_a_day_with_growing_waits() {
        let busy = SendError::transient("450 mailbox busy");
        let waits: Vec<Duration> = (1..)
            .map_while(|attempt| match Verdict::of(attempt, Err(busy.clone())) {
                Verdict::PutOff { wait, .. } => Some(wait),
                _ => None,
            })
            .collect();
        assert_eq!(waits.len(), 149);
        assert!(waits[0] <= FIRST_WAIT && waits.iter().all(|wait| *wait <= LONGEST_WAIT));
        let total: Duration = waits.iter().sum();
        assert!(total > Duration::from_secs(12 * 3600) && total < Duration::from_secs(26 * 3600), "{total:?}");
    }

    #[test]
    fn what_the_server_said_is_kept_without_addresses() {
        let said = SendError::permanent("550 5.1.1 <ann@example.com>: Recipient\r\n rejected");
        assert_eq!(said.to_string(), "550 5.1.1 (address) Recipient rejected");
    }
}
