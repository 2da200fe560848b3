//! Stripe's event object, as far as it is read: <https://docs.stripe.com/api/events/object>.

use serde::Deserialize;

/// Stripe's ids are shorter; what is longer is none, and goes into no table.
const LONGEST: usize = 255;

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
}

/// The body is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is no event of the gateway: {0}")]
pub struct NotAnEvent(String);

#[derive(Deserialize)]
struct EventObject {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Told,
}

/// An intent, or what belongs to one, such as a charge or a refund.
#[derive(Deserialize)]
struct Told {
    object: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    payment_intent: Option<String>,
}

impl WebhookEvent {
    /// Reads the body of a delivery.
    ///
    /// # Errors
    /// It is no JSON, or not of an event's shape.
    pub fn parse(body: &[u8]) -> Result<Self, NotAnEvent> {
        let event: EventObject = serde_json::from_slice(body).map_err(|error| NotAnEvent(error.to_string()))?;
        let Told { object, id, payment_intent } = event.data.object;
        let (intent, refund) = match object.as_str() {
            "payment_intent" => (id, None),
            "refund" => (payment_intent, id),
            _ => (payment_intent, None),
        };
        let told = [("data.object", intent.as_ref()), ("data.object.id", refund.as_ref())];
        for (name, text) in [("id", Some(&event.id)), ("type", Some(&event.kind))].into_iter().chain(told) {
            if text.is_some_and(|text| !is_name(text)) {
                return Err(NotAnEvent(format!("{name} is empty, too long or has blanks or control characters")));
            }
        }
        Ok(Self { id: event.id, kind: event.kind, intent, refund })
    }
}

fn is_name(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
