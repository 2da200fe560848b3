//! Form-encoded parameters, as Stripe takes them: `amount=2598&metadata[order_id]=...`.

use std::collections::BTreeMap;

use actix_web::web::Query;
use serde_json::{Map, Value, json};

use crate::StripeError;

/// The parameters of one request, each at most once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads a form or a query string and refuses what the endpoint does not know; a name that ends in `[]` stands for
    /// all names that start so.
    ///
    /// # Errors
    /// Text that is no form, a parameter given twice, an unknown one.
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
            if params.insert(name.clone(), value).is_some() {
                let message = format!("Received duplicate parameter: {name}");
                return Err(StripeError::parameter(&name, "parameter_invalid", message));
            }
        }
        Ok(Self(params))
    }

    /// The parameter of that name, unless it is missing or empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A parameter that has to be there.
    ///
    /// # Errors
    /// It is missing or empty.
    pub fn required(&self, name: &str) -> Result<&str, StripeError> {
        let message = || format!("Missing required param: {name}.");
        self.text(name).ok_or_else(|| StripeError::parameter(name, "parameter_missing", message()))
    }

    /// An amount in minor units, from 1 to Stripe's 99,999,999; nothing when it was not given.
    ///
    /// # Errors
    /// It is no such number.
    pub fn amount(&self, name: &str) -> Result<Option<i64>, StripeError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(amount @ 1..=99_999_999) => Ok(Some(amount)),
            Ok(amount) if amount > 0 => {
                Err(StripeError::parameter(name, "amount_too_large", "Amount must be no more than 99999999."))
            }
            _ => {
                let message = format!("Invalid positive integer: {text}");
                Err(StripeError::parameter(name, "parameter_invalid_integer", message))
            }
        }
    }

    /// A parameter of which this gateway does one value only.
    ///
    /// # Errors
    /// It has another value.
    pub fn only(&self, name: &str, value: &str) -> Result<(), StripeError> {
        match self.text(name) {
            Some(other) if other != value => {
                let message = format!("The sandbox gateway does {name}={value} only.");
                Err(StripeError::parameter(name, "parameter_invalid", message))
            }
            _ => Ok(()),
        }
    }

    /// `metadata[...]` as an object.
    pub fn metadata(&self) -> Value {
        let entry = |(name, value): (&String, &String)| {
            let name = name.strip_prefix("metadata[")?.strip_suffix(']')?;
            Some((name.to_owned(), json!(value)))
        };
        Value::Object(self.0.iter().filter_map(entry).collect::<Map<_, _>>())
    }

    /// All of them, for comparing two requests with one key.
    pub fn to_json(&self) -> Value {
        json!(self.0)
    }
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
    fn an_amount_is_a_positive_integer() {
        for text in ["0", "-1", "1.5", "many", "100000000"] {
            assert!(Params::parse(&format!("amount={text}"), &["amount"]).unwrap().amount("amount").is_err(), "{text}");
        }
    }
}
