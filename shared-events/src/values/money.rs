use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Invalid, Quantity};

/// The greatest amount of one charge, in minor units: eight digits, the limit that Stripe sets for `amount`
/// (<https://docs.stripe.com/api/payment_intents/create#create_payment_intent-amount>).
pub const MAX_CHARGE: i64 = 99_999_999;

/// The largest amount, in minor units: ten thousand times [`MAX_CHARGE`], so that the sum of an order's lines can be
/// computed even if it is too large to charge, and the refusal can show it.
pub const MAX_AMOUNT: i64 = MAX_CHARGE * 10_000;

/// An ISO 4217 currency, written as its three letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// The euro.
    pub const EUR: Currency = Currency(iso_currency::Currency::EUR);
    /// The United States dollar.
    pub const USD: Currency = Currency(iso_currency::Currency::USD);

    /// The three letters.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// The number of decimals of the minor unit (2 for EUR, 0 for JPY).
    pub fn exponent(self) -> usize {
        self.0.exponent().map_or(0, usize::from)
    }
}

impl FromStr for Currency {
    type Err = Invalid;

    fn from_str(code: &str) -> Result<Self, Invalid> {
        iso_currency::Currency::from_code(code)
            .map(Self)
            .ok_or_else(|| Invalid::new(code, "an ISO 4217 currency code, such as EUR"))
    }
}

impl TryFrom<String> for Currency {
    type Error = Invalid;

    fn try_from(code: String) -> Result<Self, Invalid> {
        code.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A non-negative amount in minor units (cents), with its currency. Never a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawMoney")]
pub struct Money {
    amount: i64,
    currency: Currency,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMoney {
    amount: i64,
    currency: Currency,
}

impl TryFrom<RawMoney> for Money {
    type Error = Invalid;

    fn try_from(raw: RawMoney) -> Result<Self, Invalid> {
        Money::new(raw.amount, raw.currency)
    }
}

impl Money {
    /// `amount` minor units of `currency`.
    ///
    /// # Errors
    /// Fails if the amount is negative or above [`MAX_AMOUNT`].
    pub fn new(amount: i64, currency: Currency) -> Result<Self, Invalid> {
        if (0..=MAX_AMOUNT).contains(&amount) {
            Ok(Self { amount, currency })
        } else {
            Err(Invalid::new(amount, "an amount in minor units from 0 to 999999990000"))
        }
    }

    /// An amount of 0 in `currency`.
    pub const fn zero(currency: Currency) -> Self {
        Self { amount: 0, currency }
    }

    /// The amount in minor units.
    pub const fn amount(self) -> i64 {
        self.amount
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// Whether the amount is 0.
    pub const fn is_zero(self) -> bool {
        self.amount == 0
    }

    /// The sum; none if the currencies differ or the sum is too large.
    pub fn checked_add(self, other: Money) -> Option<Money> {
        (self.currency == other.currency).then(|| Money::new(self.amount + other.amount, self.currency).ok()).flatten()
    }

    /// The difference; none if the currencies differ or `other` is greater.
    pub fn checked_sub(self, other: Money) -> Option<Money> {
        (self.currency == other.currency).then(|| Money::new(self.amount - other.amount, self.currency).ok()).flatten()
    }

    /// The price of this many pieces; none if it is too large.
    pub fn checked_times(self, quantity: Quantity) -> Option<Money> {
        self.amount.checked_mul(i64::from(quantity)).and_then(|amount| Money::new(amount, self.currency).ok())
    }
}

impl fmt::Display for Money {
    /// For people: `12.99 EUR`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.currency.exponent();
        if decimals == 0 {
            return write!(f, "{} {}", self.amount, self.currency);
        }
        let unit = 10_i64.pow(u32::try_from(decimals).unwrap_or(0));
        write!(f, "{}.{:0decimals$} {}", self.amount / unit, self.amount % unit, self.currency)
    }
}
