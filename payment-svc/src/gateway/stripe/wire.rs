//! Stripe's objects, as far as they are read: the PaymentIntent, the Refund, lists and errors.

use std::collections::HashMap;

use serde::Deserialize;
use shared_events::{Currency, Money, RefundId};

use crate::gateway::{GatewayError, GivenBack, IntentState, JournalTotals, RefundOutcome};

/// The minor units of ISO 4217 for an amount as the gateway counts; unchanged if the currency is unknown.
fn minor_units(amount: i64, currency: &str) -> i64 {
    let currency = currency.to_uppercase().parse::<Currency>();
    currency.map_or(amount, |currency| Money::minor_units_of_gateway(amount, currency))
}

/// A length that browsers and mail programs surely take.
const LONGEST_URL: usize = 2048;

/// <https://docs.stripe.com/api/payment_intents/object>
#[derive(Debug, Deserialize)]
pub(super) struct IntentObject {
    pub id: String,
    status: String,
    last_payment_error: Option<ErrorObject>,
    latest_charge: Option<LatestCharge>,
    #[serde(default)]
    next_action: Option<NextAction>,
    #[serde(default)]
    amount: i64,
    #[serde(default)]
    amount_received: i64,
    #[serde(default)]
    currency: String,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

/// What became of the last confirmation; whole only where it was asked for so.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum LatestCharge {
    Whole { status: String },
    Id(#[expect(dead_code, reason = "read so that it is not refused")] String),
}

/// What the customer has to do: <https://docs.stripe.com/api/payment_intents/object#payment_intent_object-next_action>. An
/// address is given to who has said where the customer is to return to.
#[derive(Debug, Deserialize)]
struct NextAction {
    #[serde(default)]
    redirect_to_url: Option<Redirect>,
}

#[derive(Debug, Deserialize)]
struct Redirect {
    #[serde(default)]
    url: Option<String>,
}

impl NextAction {
    /// An address that a mail can hold.
    fn url(self) -> Option<String> {
        let is_whole = |url: &String| {
            let scheme = url.starts_with("https://") || url.starts_with("http://");
            scheme && url.len() <= LONGEST_URL && url.bytes().all(|byte| byte.is_ascii_graphic())
        };
        self.redirect_to_url.and_then(|redirect| redirect.url).filter(is_whole)
    }
}

impl IntentObject {
    /// What happened to its money, but for refunds.
    pub fn totals(&self) -> JournalTotals {
        let let_go = self.was_let_go();
        let authorised = let_go || self.has_money();
        let amount = minor_units(self.amount, &self.currency);
        JournalTotals {
            authorised: if authorised { amount } else { 0 },
            captured: minor_units(self.amount_received, &self.currency),
            voided: if let_go { amount } else { self.let_go_by_capture() },
            given_back: vec![],
        }
    }

    pub fn has_money(&self) -> bool {
        matches!(self.status.as_str(), "requires_capture" | "succeeded")
    }

    pub fn order(&self) -> Option<String> {
        self.metadata.get("order_id").cloned()
    }

    /// A capture lets go of what it does not take.
    fn let_go_by_capture(&self) -> i64 {
        let rest = self.amount.saturating_sub(self.amount_received).max(0);
        if self.status == "succeeded" { minor_units(rest, &self.currency) } else { 0 }
    }

    fn was_let_go(&self) -> bool {
        let paid = |charge: &LatestCharge| matches!(charge, LatestCharge::Whole { status } if status == "succeeded");
        self.status == "canceled" && self.latest_charge.as_ref().is_some_and(paid)
    }

    pub fn state(self) -> IntentState {
        let let_go = self.was_let_go();
        match (self.status.as_str(), self.last_payment_error) {
            ("requires_capture", _) => IntentState::Authorised,
            ("succeeded", _) if self.amount_received < self.amount => {
                IntentState::CapturedInPart { amount: minor_units(self.amount_received, &self.currency) }
            }
            ("succeeded", _) => IntentState::Captured,
            ("canceled", _) => IntentState::Cancelled { let_go },
            ("processing", _) => IntentState::Processing,
            ("requires_action", _) => IntentState::ActionRequired { url: self.next_action.and_then(NextAction::url) },
            ("requires_payment_method", Some(error)) => IntentState::Declined { code: error.code() },
            _ => IntentState::NotConfirmed,
        }
    }
}

/// <https://docs.stripe.com/api/refunds/object>
#[derive(Debug, Deserialize)]
pub(super) struct RefundObject {
    pub id: String,
    status: String,
    failure_reason: Option<String>,
    #[serde(default)]
    amount: i64,
    #[serde(default)]
    currency: String,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

impl RefundObject {
    pub fn is(&self, refund: RefundId) -> bool {
        self.metadata.get("refund_id").is_some_and(|id| *id == refund.to_string())
    }

    pub fn given_back(self) -> GivenBack {
        let failed = match self.outcome() {
            RefundOutcome::Failed { code } => Some(code),
            RefundOutcome::Accepted { .. } => None,
        };
        let ours = self.metadata.get("refund_id").and_then(|id| id.parse().ok());
        GivenBack { id: self.id, ours, amount: minor_units(self.amount, &self.currency), failed }
    }

    /// A pending refund is on its way to the bank: accepted.
    pub fn outcome(&self) -> RefundOutcome {
        match self.status.as_str() {
            "failed" | "canceled" => {
                let code = self.failure_reason.clone().unwrap_or_else(|| self.status.clone());
                RefundOutcome::Failed { code }
            }
            _ => RefundOutcome::Accepted { id: self.id.clone() },
        }
    }
}

/// <https://docs.stripe.com/api/disputes/object>
#[derive(Debug, Deserialize)]
pub(super) struct DisputeObject {
    pub id: String,
    amount: i64,
    #[serde(default)]
    currency: String,
    status: String,
}

impl DisputeObject {
    /// What it took. The money is gone as soon as there is a dispute, and back when it is won; an inquiry takes none.
    pub fn given_back(self) -> GivenBack {
        let took = matches!(self.status.as_str(), "needs_response" | "under_review" | "lost");
        let failed = (!took).then(|| format!("dispute_{}", self.status));
        GivenBack { id: self.id, ours: None, amount: minor_units(self.amount, &self.currency), failed }
    }
}

/// An item of a list: the next page begins after its id.
pub(super) trait Listed {
    fn id(&self) -> &str;
}

impl Listed for RefundObject {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for DisputeObject {
    fn id(&self) -> &str {
        &self.id
    }
}

/// <https://docs.stripe.com/api/pagination>
#[derive(Debug, Deserialize)]
pub(super) struct ListObject<T> {
    pub data: Vec<T>,
    pub has_more: bool,
}

#[derive(Debug, Default, Deserialize)]
struct ErrorObject {
    #[serde(default, rename = "type")]
    kind: String,
    code: Option<String>,
    decline_code: Option<String>,
    #[serde(default)]
    param: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    error: ErrorObject,
}

impl ErrorObject {
    /// The code that says most: why the bank said no, unless it says nothing.
    fn code(self) -> String {
        let telling = self.decline_code.filter(|code| code != "generic_decline");
        telling.or(self.code).unwrap_or(self.kind)
    }
}

/// What an answer that isn't a success means: <https://docs.stripe.com/error-low-level>.
pub(super) fn error(status: u16, body: &[u8]) -> GatewayError {
    let ErrorBody { error } = serde_json::from_slice(body).unwrap_or_default();
    let (kind, parameter) = (error.kind.clone(), error.param.clone());
    let code = error.code();
    match (status, kind.as_str(), code.as_str()) {
        (_, _, "payment_intent_unexpected_state") => GatewayError::MovedOn,
        (400 | 404, "invalid_request_error", "resource_missing") if parameter.as_deref() == Some("payment_method") => {
            GatewayError::Misused { code, parameter }
        }
        // Without this code the whole address is unknown, which says nothing of the object.
        (404, _, "resource_missing") => GatewayError::Unknown,
        // A key that stands for another request is our own mistake and says nothing of the money.
        (_, "idempotency_error", _) | (401 | 403 | 404 | 409 | 429, ..) => {
            GatewayError::NotDone(format!("{status} {kind} {code}"))
        }
        // What says nothing in Stripe's words may be of somebody in between.
        (400, "invalid_request_error", _) => GatewayError::Misused { code, parameter },
        (400 | 402, kind, _) if !kind.is_empty() => GatewayError::Refused { code },
        _ => GatewayError::NoAnswer(format!("status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, body: &str) -> GatewayError {
        error(status, body.as_bytes())
    }

    #[test]
    fn a_decline_gives_the_code_that_says_most() {
        let refused = |code: &str| GatewayError::Refused { code: code.to_owned() };
        let body =
            r#"{"error": {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}}"#;
        assert_eq!(said(402, body), refused("insufficient_funds"));
        let body = r#"{"error": {"type": "card_error", "code": "card_declined", "decline_code": "generic_decline"}}"#;
        assert_eq!(said(402, body), refused("card_declined"));
    }

    #[test]
    fn what_did_not_happen_and_what_nobody_knows_are_told_apart() {
        assert!(matches!(said(429, "{}"), GatewayError::NotDone(_)));
        assert!(matches!(said(401, r#"{"error": {"type": "invalid_request_error"}}"#), GatewayError::NotDone(_)));
        assert!(matches!(said(400, r#"{"error": {"type": "idempotency_error"}}"#), GatewayError::NotDone(_)));
        assert!(matches!(said(500, r#"{"error": {"type": "api_error"}}"#), GatewayError::NoAnswer(_)));
        assert!(matches!(said(502, "<html>"), GatewayError::NoAnswer(_)));
        assert!(matches!(said(400, "<html>"), GatewayError::NoAnswer(_)), "a proxy's no is not the bank's");
    }

    #[test]
    fn an_id_that_the_gateway_does_not_know_is_told_from_an_address_that_it_does_not_serve() {
        let body = r#"{"error": {"type": "invalid_request_error", "code": "resource_missing"}}"#;
        assert_eq!(said(404, body), GatewayError::Unknown);
        assert!(matches!(said(404, r#"{"error": {"type": "invalid_request_error"}}"#), GatewayError::NotDone(_)));
        assert!(matches!(said(404, "<html>"), GatewayError::NotDone(_)));
    }

    #[test]
    fn an_intent_that_moved_on_is_to_be_looked_up() {
        let body = r#"{"error": {"type": "invalid_request_error", "code": "payment_intent_unexpected_state"}}"#;
        assert_eq!(said(400, body), GatewayError::MovedOn);
    }

    #[test]
    fn a_capture_of_less_than_the_amount_is_told_from_one_of_all_of_it() {
        let intent = |received: i64| -> IntentObject {
            let text = format!(
                r#"{{"id": "pi_1", "status": "succeeded", "amount": 1000, "amount_received": {received}, "currency": "eur",
                    "last_payment_error": null}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        assert_eq!(intent(1000).state(), IntentState::Captured);
        assert_eq!(intent(400).state(), IntentState::CapturedInPart { amount: 400 });
        let (whole, part) = (intent(1000).totals(), intent(400).totals());
        assert_eq!((whole.captured, whole.voided, part.captured, part.voided), (1000, 0, 400, 600));
    }

    #[test]
    fn a_status_that_waits_for_us_is_not_confirmed() {
        for status in ["requires_confirmation", "requires_payment_method"] {
            let text = format!(r#"{{"id": "pi_1", "status": "{status}", "last_payment_error": null}}"#);
            let intent: IntentObject = serde_json::from_str(&text).unwrap();
            assert_eq!(intent.state(), IntentState::NotConfirmed);
        }
    }
}
