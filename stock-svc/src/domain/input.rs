//! Values that arrive from clients. Each is checked once, when it is read.

use serde::{Deserialize, Serialize};
use shared_events::{Currency, MAX_AMOUNT, Money};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::MAX_ON_HAND;

/// Why a value was refused. The text can be shown to whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(String);

/// Text for people that may have several lines or be empty; at most 5,000 characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(pattern = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$", max_length = 5000, example = "Black tea.")]
pub struct Description(String);

impl TryFrom<String> for Description {
    type Error = Unfit;

    fn try_from(text: String) -> Result<Self, Unfit> {
        let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        if text.chars().count() <= 5_000 && !text.chars().any(control) {
            Ok(Self(text))
        } else {
            Err(Unfit("it is not text of at most 5000 characters without control characters".to_owned()))
        }
    }
}

impl From<Description> for String {
    fn from(description: Description) -> String {
        description.0
    }
}

/// The price of one piece. It is more than 0 and can be charged, possibly only together with other pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Money")]
pub struct Price(Money);

impl TryFrom<Money> for Price {
    type Error = Unfit;

    fn try_from(money: Money) -> Result<Self, Unfit> {
        if money.is_zero() {
            return Err(Unfit("a price is at least 1 minor unit".to_owned()));
        }
        money.check_price().map_err(|why| Unfit(why.to_string()))?;
        Ok(Self(money))
    }
}

impl From<Price> for Money {
    fn from(price: Price) -> Money {
        price.0
    }
}

impl PartialSchema for Price {
    fn schema() -> RefOr<Schema> {
        let amount = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(MAX_AMOUNT));
        ObjectBuilder::new()
            .description(Some("What one piece costs, in minor units (cents)."))
            .property("amount", amount)
            .property("currency", Ref::from_schema_name("Currency"))
            .required("amount")
            .required("currency")
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
            .into()
    }
}

impl ToSchema for Price {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Currency::name().into_owned(), Currency::schema()));
    }
}

fn range(least: i64, most: i64) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(most))
}

macro_rules! pieces {
    ($($(#[$doc:meta])* $name:ident, $expected:literal, $ok:expr, $schema:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
        #[serde(try_from = "i64")]
        pub struct $name(i64);

        impl $name {
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = Unfit;

            fn try_from(pieces: i64) -> Result<Self, Unfit> {
                let ok: fn(i64) -> bool = $ok;
                if ok(pieces) { Ok(Self(pieces)) } else { Err(Unfit(format!("{pieces} is not {}", $expected))) }
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

pieces! {
    /// The number of pieces on hand when a product is listed.
    OnHand, "a number of pieces from 0 to 1000000000", |pieces| (0..=MAX_ON_HAND).contains(&pieces),
        range(0, MAX_ON_HAND);
    /// The number of available pieces below which stock is low.
    LowStockMark, "a number of pieces from 1 to 1000000000", |pieces| (1..=MAX_ON_HAND).contains(&pieces),
        range(1, MAX_ON_HAND);
    /// A change in the number of pieces: positive or negative, but not 0.
    Delta, "a number of pieces from -1000000000 to 1000000000 other than 0",
        |pieces| pieces != 0 && (-MAX_ON_HAND..=MAX_ON_HAND).contains(&pieces),
        OneOfBuilder::new().item(range(-MAX_ON_HAND, -1)).item(range(1, MAX_ON_HAND));
}

impl LowStockMark {
    /// The mark, in the type that events use.
    pub fn pieces(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_pieces_are_bounded() {
        for (pieces, fit) in [(0, true), (MAX_ON_HAND, true), (-1, false), (MAX_ON_HAND + 1, false), (i64::MAX, false)]
        {
            assert_eq!(OnHand::try_from(pieces).is_ok(), fit, "{pieces}");
        }
        for (pieces, fit) in [(1, true), (-MAX_ON_HAND, true), (0, false), (i64::MIN, false)] {
            assert_eq!(Delta::try_from(pieces).is_ok(), fit, "{pieces}");
        }
    }

    #[test]
    fn a_price_is_more_than_nothing() {
        assert!(serde_json::from_str::<Price>(r#"{"amount": 1, "currency": "EUR"}"#).is_ok());
        assert!(serde_json::from_str::<Price>(r#"{"amount": 0, "currency": "EUR"}"#).is_err());
        assert!(serde_json::from_str::<Price>(r#"{"amount": -1, "currency": "EUR"}"#).is_err());
    }

    #[test]
    fn a_price_is_one_that_can_be_paid() {
        let price = |amount: i64, code: &str| {
            serde_json::from_str::<Price>(&format!(r#"{{"amount": {amount}, "currency": "{code}"}}"#))
        };
        for (amount, code) in [(5_000, "ISK"), (100_000, "MGA"), (5_120, "KWD"), (99_999_999, "EUR"), (1, "EUR")] {
            assert!(price(amount, code).is_ok(), "{amount} {code}");
        }
        for (amount, code) in [(100_050, "MGA"), (5_124, "KWD"), (100_000_000, "EUR"), (1, "XXX"), (1, "XAU")] {
            let refused = price(amount, code).unwrap_err().to_string();
            assert!(refused.contains(code), "{refused}");
        }
    }

    #[test]
    fn a_description_has_lines_and_no_other_control_characters() {
        assert!(Description::try_from("Bergamot.\nLoose leaf.".to_owned()).is_ok());
        assert!(Description::try_from("nul\0".to_owned()).is_err());
        assert!(Description::try_from("x".repeat(5_001)).is_err());
    }
}
