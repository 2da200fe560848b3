use std::time::Duration;

use shared_events::SuppressReason;

/// After so many refusals a notification is given up: about a day, by [`FIRST_WAIT`] and [`LONGEST_WAIT`].
pub const MAX_ATTEMPTS: i32 = 150;
/// After so many tries of which the last may have reached somebody it is not tried again: each could be one message more.
pub const MAX_UNCLEAR: i32 = 3;
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// The longest that a provider can ask us to wait.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// Why a message was not taken. The text holds no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The server is away or takes nothing from us at all, which no message can help.
    #[error("{0}")]
    Unavailable(String),
    /// The server doesn't take this message now: to be tried again.
    #[error("{0}")]
    Transient(String),
    /// The same, and it says after how long.
    #[error("{said}")]
    Busy { said: String, wait: Duration },
    /// The server may have taken this message, and would not know it again.
    #[error("{0}")]
    Unclear(String),
    /// The server will never take this message.
    #[error("{0}")]
    Permanent(String),
}

impl SendError {
    /// A server that is away. Whatever may name a person is taken out of `said`, here and below.
    pub fn unavailable(said: impl ToString) -> Self {
        Self::Unavailable(without_persons(&said.to_string()))
    }

    /// An error that may pass.
    pub fn transient(said: impl ToString) -> Self {
        Self::Transient(without_persons(&said.to_string()))
    }

    /// An answer that was lost, or that doesn't tell, where the server knows no message again.
    pub fn unclear(said: impl ToString) -> Self {
        Self::Unclear(without_persons(&said.to_string()))
    }

    /// The same for a server that replaces a message by its like, so that it may be tried as often as any other.
    #[must_use]
    pub fn repeatable(self) -> Self {
        match self {
            Self::Unclear(said) => Self::Transient(said),
            other => other,
        }
    }

    /// A server that asks to be left alone for so long.
    pub fn busy(said: impl ToString, wait: Duration) -> Self {
        Self::Busy { said: without_persons(&said.to_string()), wait: wait.min(LONGEST_ASKED) }
    }

    /// The same without the message's own recipient, however its digits are written.
    #[must_use]
    pub fn without(self, recipient: &str) -> Self {
        let without = |said: String| without_recipient(&said, recipient);
        match self {
            Self::Unavailable(said) => Self::Unavailable(without(said)),
            Self::Transient(said) => Self::Transient(without(said)),
            Self::Busy { said, wait } => Self::Busy { said: without(said), wait },
            Self::Unclear(said) => Self::Unclear(without(said)),
            Self::Permanent(said) => Self::Permanent(without(said)),
        }
    }

    /// An error that will not pass.
    pub fn permanent(said: impl ToString) -> Self {
        Self::Permanent(without_persons(&said.to_string()))
    }
}

/// What came of a notification that was taken to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server has taken it.
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
            Err(SendError::Transient(error)) => Self::put_off(attempt, Duration::ZERO, error),
            Err(SendError::Busy { said, wait }) => Self::put_off(attempt, wait, said),
            Err(SendError::Unclear(error)) if attempt >= MAX_UNCLEAR => Self::GivenUp { error },
            Err(SendError::Unclear(error)) => Self::put_off(attempt, Duration::ZERO, error),
            Err(SendError::Permanent(error)) => Self::GivenUp { error },
        }
    }

    /// Tries again after a growing wait, and no sooner than the server asked for; not for ever.
    fn put_off(attempt: i32, least: Duration, error: String) -> Self {
        if attempt >= MAX_ATTEMPTS {
            return Self::GivenUp { error };
        }
        let failed_before = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0);
        let wait = service_kit::retry::wait_after(failed_before, FIRST_WAIT, LONGEST_WAIT);
        Self::PutOff { wait: wait.max(least), error }
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

/// The longest word that can't be the token of a device or of a guest's link.
const LONGEST_WORD: usize = 64;
/// The most digits of a number that can't be a phone's.
const MOST_DIGITS: usize = 6;

/// Servers like to repeat what they refuse: addresses, numbers, tokens, links. None may reach a log or an event.
fn without_persons(text: &str) -> String {
    text.split_whitespace().map(said).collect::<Vec<_>>().join(" ").chars().take(300).collect()
}

/// A number may be told grouped, or without its country: as much of its end as stands there is taken out.
fn without_recipient(text: &str, recipient: &str) -> String {
    let mut text = text.replace(recipient, "(recipient)");
    let number: String = recipient.chars().filter(char::is_ascii_digit).collect();
    if !recipient.starts_with('+') {
        return text;
    }
    for length in (MOST_DIGITS + 1..=number.len()).rev() {
        let end = &number[number.len() - length..];
        while let Some((from, to)) = place_of(&text, end) {
            text.replace_range(from..to, "(recipient)");
        }
    }
    text
}

/// Where these digits stand with no letter between them.
fn place_of(text: &str, wanted: &str) -> Option<(usize, usize)> {
    let digits: Vec<_> = text.char_indices().filter(|(_, char)| char.is_ascii_digit()).collect();
    digits.windows(wanted.len()).find_map(|found| {
        let (from, to) = (found.first()?.0, found.last()?.0 + 1);
        let is_it = found.iter().map(|(_, char)| *char).eq(wanted.chars());
        (is_it && !text[from..to].contains(char::is_alphabetic)).then_some((from, to))
    })
}

fn said(word: &str) -> &str {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let is_number =
        digits > MOST_DIGITS && word.chars().all(|char| char.is_ascii_digit() || "+-().,;:'\"[]<>".contains(char));
    match word {
        _ if word.contains('@') => "(address)",
        _ if word.contains("://") || word.contains("token=") => "(link)",
        _ if is_number => "(number)",
        _ if word.len() > LONGEST_WORD => "(token)",
        _ => word,
    }
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
    fn what_may_have_reached_somebody_is_tried_three_times_at_most_unless_it_can_be_repeated() {
        let lost = SendError::unclear("timed out");
        let goes_on =
            |attempt, error: &SendError| matches!(Verdict::of(attempt, Err(error.clone())), Verdict::PutOff { .. });
        assert_eq!([1, 2, 3, 50].map(|attempt| goes_on(attempt, &lost)), [true, true, false, false]);
        let replaced = lost.repeatable();
        assert_eq!([3, 149, 150].map(|attempt| goes_on(attempt, &replaced)), [true, true, false]);
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
    fn what_the_server_said_is_kept_without_persons() {
        let said = SendError::permanent("550 5.1.1 <ann@example.com>: Recipient\r\n rejected");
        assert_eq!(said.to_string(), "550 5.1.1 (address) Recipient rejected");
    }

    #[test]
    fn a_server_that_asks_to_be_left_alone_is_and_not_for_longer_than_an_hour() {
        let wait = |asked| match Verdict::of(1, Err(SendError::busy("429", Duration::from_secs(asked)))) {
            Verdict::PutOff { wait, .. } => wait.as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!((wait(90), wait(1_000_000)), (90, 3600));
        assert!(wait(0) <= FIRST_WAIT.as_secs());
        let refused = Verdict::of(MAX_ATTEMPTS, Err(SendError::busy("429", Duration::from_secs(90))));
        assert!(matches!(refused, Verdict::GivenUp { .. }));
    }

    #[test]
    fn neither_numbers_nor_tokens_nor_links_are_kept() {
        let token = "x".repeat(LONGEST_WORD + 1);
        let said = format!(
            "21211 The 'To' number +353861234567 is invalid, (353-86-1234567). {token} https://a.b/?token=guest.1"
        );
        let kept = SendError::permanent(said).to_string();
        assert_eq!(kept, "21211 The 'To' number (number) is invalid, (number) (token) (link)");
    }

    #[test]
    fn the_own_recipient_is_taken_out_however_it_is_written() {
        let without = |said: &str, recipient| SendError::Permanent(said.to_owned()).without(recipient).to_string();
        let number = "+353861234567";
        for said in ["To:+353861234567 is bad", "to +353 86 123 4567 is bad", "(086) 123-4567 is bad"] {
            let kept = without(said, number);
            assert!(kept.ends_with("(recipient) is bad") && !kept.contains("4567"), "{kept}");
        }
        assert_eq!(without("21211 is bad", number), "21211 is bad");
        assert_eq!(without("token device-1: gone", "device-1"), "token (recipient): gone");
    }
}
