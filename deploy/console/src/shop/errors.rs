//! What order-svc refuses, at the fields of the form that sent it and in words for whoever filled it in.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use crate::http::visit::{Refusal, Visit};
use crate::services::Failure;

/// Says that something can't be shown now, to whoever need not know which service is away.
pub fn not_now(visit: Visit, failure: &Failure) -> Refusal {
    if let Failure::Away { service, why } = failure {
        tracing::warn!(service, why, "a page of the shop can't be shown");
    }
    let why = "We can't show this just now. Please try again in a moment.".to_owned();
    visit.refuse(StatusCode::SERVICE_UNAVAILABLE, "Not just now", why)
}

/// What is wrong with a form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// By the names of the form's fields.
    pub fields: BTreeMap<String, String>,
    /// What belongs to no field of it.
    pub whole: Vec<String>,
}

impl Wrong {
    pub fn whole(why: impl Into<String>) -> Self {
        Self { fields: BTreeMap::new(), whole: vec![why.into()] }
    }

    /// Reads a problem (RFC 9457). The form has these fields.
    pub fn of(failure: &Failure, fields: &[&str]) -> Self {
        let Failure::Refused { problem, .. } = failure else {
            return Self::whole("We can't do this just now. Nothing is lost: please try again in a moment.");
        };
        if let Some(words) = problem["code"].as_str().and_then(of_problem) {
            return Self::whole(words);
        }
        let mut wrong = Self::default();
        for error in problem["errors"].as_array().into_iter().flatten() {
            let (field, words) = (error["field"].as_str().unwrap_or_default(), of_field(error));
            // `customer.name` and `delivery_address.city` are `name` and `city` in the form.
            let name = field.rsplit('.').next().unwrap_or_default();
            if fields.contains(&name) && !field.starts_with("lines") {
                wrong.fields.entry(name.to_owned()).or_insert(words);
            } else {
                wrong.whole.push(words);
            }
        }
        if wrong == Self::default() { Self::whole(failure.to_string()) } else { wrong }
    }
}

/// Problems that are no field's.
fn of_problem(code: &str) -> Option<&'static str> {
    Some(match code {
        "key_in_flight" => "Your order is being placed. Please press the button again in a moment: it stays one order.",
        "key_reused" => {
            "This form was sent before, with other details, and that order was placed: please see your mails. \
             To order once more, go back to your basket."
        }
        "price_changed" => "A price has changed since you saw it. Please look at the new total, and order again.",
        "too_many_requests" => {
            "There were many orders within a short time. Please wait a minute, and press the button again."
        }
        _ => return None,
    })
}

fn of_field(error: &Value) -> String {
    let message = error["message"].as_str().unwrap_or("This can't be taken as it is.");
    let words = match error["code"].as_str().unwrap_or_default() {
        "missing" | "not_in_profile" => "Please fill this in.",
        "unknown_sku" | "withdrawn_sku" => {
            "Something in your basket is not sold any more: please take it out of your basket."
        }
        "other_currency" => {
            "What is in your basket has prices in several currencies: please order them one after the other."
        }
        "too_dear" => "This costs more than one payment can be: please order less at once.",
        "too_cheap" => "This costs less than a card can be charged: please add something.",
        "no_lines" => "There is nothing in your basket.",
        "unknown_country" => "Please choose a country.",
        _ => return sentence(message),
    };
    words.to_owned()
}

/// A message as a sentence.
fn sentence(message: &str) -> String {
    let mut chars = message.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if message.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(problem: Value) -> Wrong {
        let failure = Failure::Refused { status: 422, problem };
        Wrong::of(&failure, &["name", "email", "line1", "country", "payment_method"])
    }

    #[test]
    fn each_error_stands_at_its_field() {
        let errors = json!([
            {"field": "customer.email", "message": "expected an e-mail address", "code": "invalid"},
            {"field": "delivery_address.line1", "message": "is missing", "code": "missing"},
            {"field": "lines[0].sku", "message": "no product has the SKU X", "code": "unknown_sku"},
            {"field": "customer.id", "message": "is not a guest's"}
        ]);
        let wrong = wrong(json!({"code": "bad_input", "errors": errors}));
        assert_eq!(wrong.fields["email"], "Expected an e-mail address.");
        assert_eq!(wrong.fields["line1"], "Please fill this in.");
        assert_eq!(wrong.whole.len(), 2, "{wrong:?}");
        assert!(wrong.whole[0].contains("not sold any more") && wrong.whole[1] == "Is not a guest's.");
    }

    #[test]
    fn a_problem_without_fields_is_told_as_a_whole() {
        assert!(wrong(json!({"code": "key_in_flight"})).whole[0].contains("being placed"));
        assert_eq!(wrong(json!({"detail": "No."})).whole, ["No."]);
        let away = Failure::Away { service: "order-svc", why: "connection refused to 10.0.0.1".to_owned() };
        let told = Wrong::of(&away, &[]).whole;
        assert!(told[0].contains("Nothing is lost") && !told[0].contains("10.0"), "{told:?}");
    }
}
