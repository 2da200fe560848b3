//! Stripe's event object, as far as it is read: <https://docs.stripe.com/api/events/object>. An endpoint also gets
//! types and versions that this service has no use for; those are read as far as they can be.

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::domain::State;

/// Stripe's ids are shorter; anything longer is no id, and goes into no table.
const LONGEST: usize = 255;

/// The version of the API in which events are expected. Another one is read too: only ids are taken from an event.
const VERSION: &str = crate::gateway::STRIPE_VERSION;

/// Money was reserved, which our own call reports too.
const AUTHORISED: &str = "payment_intent.amount_capturable_updated";

/// A refund was just made; if it is ours, its own answer reports the same.
const CREATED: &str = "refund.created";

/// The types of events that this service does something about; all others share one label in metrics.
const KNOWN_TYPES: [&str; 17] = [
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "charge.refund.updated",
    "charge.refunded",
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.created",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.succeeded",
    "refund.created",
    "refund.failed",
    "refund.updated",
];

/// An event: something happened to an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookEvent {
    /// `evt_...`, the same over every delivery.
    pub id: String,
    /// Such as `payment_intent.payment_failed`.
    pub kind: String,
    /// Of which intent it tells, if of any. What has become of it is looked up: events come late, twice and out of
    /// order, and the gateway alone knows what holds.
    pub intent: Option<String>,
    /// Which refund of that intent, by the gateway's name for it, if it tells of one.
    pub refund: Option<String>,
    /// Whether it is of the version of the API that is expected.
    pub is_of_known_version: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is no JSON: {0}")]
pub struct NotJson(String);

impl WebhookEvent {
    /// Reads the body of a delivery. JSON that has no id and type to note it by is none, and no error: its sender would
    /// send it again and again, and at last nothing at all. Fails if it isn't JSON.
    pub fn parse(body: &[u8]) -> Result<Option<Self>, NotJson> {
        let body: Value = match serde_json::from_slice(body) {
            Ok(body) => body,
            // JSON that is nested deeper than anything is read.
            Err(_) if serde_json::from_slice::<IgnoredAny>(body).is_ok() => return Ok(None),
            Err(error) => return Err(NotJson(error.to_string())),
        };
        let (Some(id), Some(kind)) = (name(&body["id"]), name(&body["type"])) else { return Ok(None) };
        let told = &body["data"]["object"];
        let (of_itself, of_its_intent) = (name(&told["id"]), name_of(&told["payment_intent"]));
        let (intent, refund) = match told["object"].as_str() {
            Some("payment_intent") => (of_itself, None),
            Some("refund") => (of_its_intent, of_itself),
            _ => (of_its_intent, None),
        };
        let is_of_known_version = body["api_version"] == VERSION;
        Ok(Some(Self { id, kind, intent, refund, is_of_known_version }))
    }

    /// Whether it tells of money that went back: a refund, a charge that was refunded, a dispute.
    pub fn tells_of_money_back(&self) -> bool {
        ["refund.", "charge.refund", "charge.dispute."].into_iter().any(|family| self.kind.starts_with(family))
    }

    /// Whether something may follow from it in this state; otherwise the payment's own calls report as much.
    pub fn may_tell(&self, state: State) -> bool {
        match state {
            State::ActionRequired | State::Authorizing => true,
            // Somebody else may have captured or cancelled it.
            State::Authorized => self.tells_of_money_back() || self.kind != AUTHORISED,
            // The gateway may have taken the money without this service knowing it.
            State::Capturing | State::Captured | State::CaptureFailed | State::Voiding | State::Closing => {
                self.tells_of_money_back()
            }
            State::New | State::Tombstone | State::Closed | State::WaitingToRetry | State::Voided | State::Declined => {
                false
            }
        }
    }

    /// The refund that was just made, by the gateway's name for it, if it tells of one.
    pub fn refund_that_was_made(&self) -> Option<&str> {
        self.refund.as_deref().filter(|_| self.kind == CREATED)
    }

    /// The type as a label of metrics, of which there are few: what a stranger invents is `other`.
    pub fn type_label(&self) -> &'static str {
        KNOWN_TYPES.into_iter().find(|known| *known == self.kind).unwrap_or("other")
    }
}

/// A name that can be kept in a table.
fn name(value: &Value) -> Option<String> {
    value.as_str().filter(|text| is_name(text)).map(str::to_owned)
}

/// The id of an object that is there by its id, or expanded.
fn name_of(value: &Value) -> Option<String> {
    name(value).or_else(|| name(&value["id"]))
}

fn is_name(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
