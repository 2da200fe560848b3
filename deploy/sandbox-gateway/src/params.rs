//! Form-encoded parameters, as Stripe takes them: `amount=2598&metadata[order_id]=...`.

use std::collections::BTreeMap;

use actix_web::web::Query;
use serde_json::{Map, Value, json};

use crate::StripeError;

/// Stripe's limits on metadata: <https://docs.stripe.com/api/metadata>.
const METADATA_NAMES: usize = 50;
const METADATA_NAME: usize = 40;
const METADATA_VALUE: usize = 500;

/// The parameters of one request, each at most once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads a form or a query string. Refuses a parameter that is given twice or that the endpoint does not know (a
    /// name in `known` that ends in `[]` stands for all that start so), control characters, and metadata beyond
    /// Stripe's limits.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, StripeError> {
        let malformed = |_| StripeError::parameter("", "parameter_invalid", "The body is not form-encoded.");
        let pairs = Query::<Vec<(String, String)>>::from_query(text).map_err(malformed)?.into_inner();
        let mut params = BTreeMap::new();
        for (name, value) in pairs {
            let is_known = known.iter().any(|known| match known.strip_suffix("[]") {
                Some(stem) => name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('[')),
                None => *known == name,
            });
            if !is_known {
                let message = format!("Received unknown parameter: {name}");
                return Err(StripeError::parameter(&name, "parameter_unknown", message));
            }
            check(&name, &value)?;
            if params.insert(name.clone(), value).is_some() {
                let message = format!("Received duplicate parameter: {name}");
                return Err(StripeError::parameter(&name, "parameter_invalid", message));
            }
        }
        if params.keys().filter_map(|name| metadata_name(name)).count() > METADATA_NAMES {
            let message = format!("Metadata has at most {METADATA_NAMES} names.");
            return Err(StripeError::parameter("metadata", "parameter_invalid", message));
        }
        Ok(Self(params))
    }

    /// The parameter of that name, unless it is missing or empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A parameter that has to be there, and not empty.
    pub fn required(&self, name: &str) -> Result<&str, StripeError> {
        let message = || format!("Missing required param: {name}.");
        self.text(name).ok_or_else(|| StripeError::parameter(name, "parameter_missing", message()))
    }

    /// An amount in Stripe's units, from 1 to twelve digits; none if it was not given. The limits of a currency are in
    /// [`crate::currencies`].
    pub fn amount(&self, name: &str) -> Result<Option<i64>, StripeError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(amount @ 1..=999_999_999_999) => Ok(Some(amount)),
            Ok(amount) if amount > 0 => {
                Err(StripeError::parameter(name, "amount_too_large", "Amount must be no more than 999999999999."))
            }
            _ => {
                let message = format!("Invalid positive integer: {text}");
                Err(StripeError::parameter(name, "parameter_invalid_integer", message))
            }
        }
    }

    /// Refuses another value of a parameter of which this gateway does one value only.
    pub fn only(&self, name: &str, value: &str) -> Result<(), StripeError> {
        match self.text(name) {
            Some(other) if other != value => {
                let message = format!("The sandbox gateway does {name}={value} only.");
                Err(StripeError::parameter(name, "parameter_invalid", message))
            }
            _ => Ok(()),
        }
    }

    /// Whether `expand[]` names this field.
    pub fn expands(&self, field: &str) -> bool {
        self.0.iter().any(|(name, value)| name.starts_with("expand[") && value == field)
    }

    /// `metadata[...]` as an object.
    pub fn metadata(&self) -> Value {
        let entry = |(name, value): (&String, &String)| Some((metadata_name(name)?.to_owned(), json!(value)));
        Value::Object(self.0.iter().filter_map(entry).collect::<Map<_, _>>())
    }

    /// All of them, for comparing two requests with one key.
    pub fn to_json(&self) -> Value {
        json!(self.0)
    }
}

fn metadata_name(param: &str) -> Option<&str> {
    param.strip_prefix("metadata[")?.strip_suffix(']')
}

/// What PostgreSQL can't keep, or nobody can read, is refused here, before anything is written.
fn check(name: &str, value: &str) -> Result<(), StripeError> {
    let refused = |message: String| Err(StripeError::parameter(name, "parameter_invalid", message));
    if has_control(name) || has_control(value) {
        return refused("A parameter has no control characters.".to_owned());
    }
    match metadata_name(name) {
        Some(key) if key.chars().count() > METADATA_NAME => {
            refused(format!("A name in metadata has at most {METADATA_NAME} characters."))
        }
        Some(_) if value.chars().count() > METADATA_VALUE => {
            refused(format!("A value in metadata has at most {METADATA_VALUE} characters."))
        }
        _ => Ok(()),
    }
}

/// Whether there is a NUL or another control character in it.
pub fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_names_are_metadata() {
        let params = Params::parse("amount=5&metadata%5Border_id%5D=o-1", &["amount", "metadata[]"]).unwrap();
        assert_eq!(params.amount("amount").unwrap(), Some(5));
        assert_eq!(params.metadata(), json!({"order_id": "o-1"}));
    }

    #[test]
    fn an_unknown_parameter_is_named() {
        let error = Params::parse("amuont=5", &["amount"]).unwrap_err();
        assert_eq!(error.object()["param"], "amuont");
    }

    #[test]
    fn metadata_has_the_limits_of_stripe() {
        let parse = |text: &str| Params::parse(text, &["metadata[]"]);
        let long = |name: usize, value: usize| format!("metadata[{}]={}", "n".repeat(name), "v".repeat(value));
        let many = |names: usize| (0..names).map(|n| format!("metadata[{n}]=v")).collect::<Vec<_>>().join("&");
        for good in [long(40, 500), many(50)] {
            assert!(parse(&good).is_ok(), "{good}");
        }
        for bad in [long(41, 1), long(1, 501), many(51), "metadata[a]=%00".to_owned(), "metadata[%0A]=a".to_owned()] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_amount_is_a_positive_integer() {
        for text in ["0", "-1", "1.5", "many", "1000000000000"] {
            assert!(Params::parse(&format!("amount={text}"), &["amount"]).unwrap().amount("amount").is_err(), "{text}");
        }
    }
}
