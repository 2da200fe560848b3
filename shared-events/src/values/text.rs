use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};

use super::Invalid;

/// Declares a text that is checked when it is made. `$told` is what a refusal shows of it.
macro_rules! checked_text {
    ($(#[$meta:meta])* $name:ident, $expected:literal, $ok:expr, $told:expr) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                let ok: fn(&str) -> bool = $ok;
                let told: fn(&str) -> &str = $told;
                if ok(&text) { Ok(Self(text)) } else { Err(Invalid::new(told(&text), $expected)) }
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }
    };
}
pub(super) use checked_text;

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident, $expected:literal, $ok:expr;)*) => {$(
        checked_text! {
            $(#[$doc])*
            #[derive(Debug, PartialOrd, Ord)]
            $name, $expected, $ok, |text| text
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

fn made_of(text: &str, most: usize, allowed: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.len() <= most && text.chars().all(allowed)
}

/// Whether the text is one line for people: not blank, no control characters, at most `most` characters.
pub(super) fn is_line(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control)
}

/// How many digits the number of an order has at least.
const DIGITS: usize = 6;

/// Whether the text is what [`OrderNumber::new`] writes.
fn is_order_number(text: &str) -> bool {
    let Some((year, drawn)) = text.strip_prefix("Q-").and_then(|rest| rest.split_once('-')) else { return false };
    let all_digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let is_short = drawn.len() == DIGITS || (!drawn.starts_with('0') && (DIGITS..=18).contains(&drawn.len()));
    year.len() == 4 && all_digits(year) && all_digits(drawn) && is_short
}

impl OrderNumber {
    /// The number of an order that was placed then and drew `drawn`. The year is that of UTC.
    ///
    /// # Errors
    /// Fails if `drawn` is negative or has more than 18 digits, or if the year has not four.
    pub fn new(placed_at: DateTime<Utc>, drawn: i64) -> Result<Self, Invalid> {
        Self::try_from(format!("Q-{:04}-{drawn:0DIGITS$}", placed_at.year()))
    }

    /// The number that the order drew, which no other order has.
    pub fn drawn(&self) -> i64 {
        self.0.rsplit('-').next().and_then(|drawn| drawn.parse().ok()).unwrap_or_default()
    }
}

texts! {
    /// A stock keeping unit, such as `TEA-EARL-GREY-250`.
    Sku, "a SKU of 1 to 64 capital letters, digits, '-', '_' or '.'",
        |text| made_of(text, 64, |c| c.is_ascii_uppercase() || c.is_ascii_digit() || "-_.".contains(c));
    /// A customer's id in the system that places orders.
    CustomerId, "a customer id of 1 to 255 letters, digits, '-', '_', '.', ':', '@' or '|'",
        |text| made_of(text, 255, |c| c.is_ascii_alphanumeric() || "-_.:@|".contains(c));
    /// A payment method as the gateway names it, such as `pm_card_visa`.
    PaymentMethod, "a payment method of 1 to 100 letters, digits or '_'",
        |text| made_of(text, 100, |c| c.is_ascii_alphanumeric() || c == '_');
    /// The number that people call an order by, such as `Q-2026-000123`: the year in which it was placed, and a number that no
    /// other order has.
    OrderNumber, "an order number such as Q-2026-000123",
        |text| is_order_number(text);
    /// One line of text for people: 1 to 200 characters, not blank, no control characters.
    LineText, "one line of 1 to 200 characters",
        |text| is_line(text, 200);
}
