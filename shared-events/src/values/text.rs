use std::fmt;
use std::str::FromStr;

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
    /// One line of text for people: 1 to 200 characters, not blank, no control characters.
    LineText, "one line of 1 to 200 characters",
        |text| is_line(text, 200);
}
