use std::time::Duration;

/// After so many refusals a message is given up: about a day, by [`FIRST_WAIT`] and [`LONGEST_WAIT`].
pub const MAX_ATTEMPTS: i32 = 150;
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Why a mail was not taken, in words without addresses.
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

/// What follows a failed try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again once the server is back, however long that takes: the circuit breaker does the waiting.
    WhenServerIsBack,
    /// Try again after this long, less some jitter.
    Again {
        /// The wait.
        wait: Duration,
    },
    /// Give up.
    GiveUp,
}

/// Decides after the `attempts`-th try (from 1) failed with `error`.
pub fn after_failure(attempts: i32, error: &SendError) -> Next {
    match error {
        SendError::Unavailable(_) => Next::WhenServerIsBack,
        SendError::Transient(_) if attempts < MAX_ATTEMPTS => {
            let failed_before = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0);
            Next::Again { wait: service_kit::retry::wait_after(failed_before, FIRST_WAIT, LONGEST_WAIT) }
        }
        _ => Next::GiveUp,
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
        assert_eq!(after_failure(1, &SendError::permanent("550 no such mailbox")), Next::GiveUp);
    }

    #[test]
    fn a_server_that_is_away_is_no_reason_to_give_a_mail_up() {
        let away = SendError::unavailable("connection refused");
        assert_eq!(after_failure(MAX_ATTEMPTS, &away), Next::WhenServerIsBack);
    }

    #[test]
    fn a_mail_that_is_not_taken_now_is_tried_for_about_a_day_with_growing_waits() {
        let away = SendError::transient("450 mailbox busy");
        let waits: Vec<Duration> = (1..)
            .map_while(|attempt| match after_failure(attempt, &away) {
                Next::Again { wait } => Some(wait),
                Next::GiveUp | Next::WhenServerIsBack => None,
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
