//! Value types that can't hold an invalid value: input is parsed once, at the edge, and trusted from there on.

mod charges;
mod contact;
mod declines;
mod ids;
mod money;
mod people;
mod text;

pub use charges::NotChargeable;
pub use contact::{Channel, Channels, Language, MessageKind, MessagePreferences, PhoneNumber, PushToken};
pub use declines::{
    AUTHENTICATION_TIMEOUT, GENERIC_DECLINE, PAYMENT_METHOD_UNKNOWN, PAYMENT_REQUEST_INVALID, decline_for_customer,
};
pub use ids::{EventId, NotificationId, OrderId, PaymentId, RefundId, ShipmentId};
pub use money::{Currency, MAX_AMOUNT, MAX_CHARGE, Money};
pub use people::{Address, CountryCode, Customer, EmailAddress};
pub use text::{CustomerId, LineText, PaymentMethod, Sku};

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a value was refused: what was given and what was expected. The text can be shown to whoever sent the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not {expected}")]
pub struct Invalid {
    /// The given value, cut to 80 characters.
    pub given: String,
    /// What was expected.
    pub expected: &'static str,
}

impl Invalid {
    pub(crate) fn new(given: impl fmt::Display, expected: &'static str) -> Self {
        Self { given: given.to_string().chars().take(80).collect(), expected }
    }
}

/// The number of pieces in one line: 1 to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Quantity(u32);

impl Quantity {
    /// The most that one line can hold.
    pub const MAX: u32 = 10_000;

    /// The number of pieces.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for Quantity {
    type Error = Invalid;

    fn try_from(value: i64) -> Result<Self, Invalid> {
        match u32::try_from(value) {
            Ok(pieces @ 1..=Self::MAX) => Ok(Self(pieces)),
            _ => Err(Invalid::new(value, "a quantity from 1 to 10000")),
        }
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> i64 {
        i64::from(quantity.0)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
