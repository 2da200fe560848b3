//! What an order's events tell of it, one after the other or in any other order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use service_kit::consumer::Incoming;
use uuid::Uuid;

use super::Heard;

/// A longer word is none that somebody looks for.
const LONGEST_WORD: usize = 200;

/// The longest text that is kept of an event to be found by, in characters.
const LONGEST: usize = 300;

/// What is known of an order. What no event has told yet is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    pub number: Option<String>,
    pub customer_id: Option<String>,
    pub customer_name: Option<String>,
    pub email: Option<String>,
    pub currency: Option<String>,
    pub total: Option<i64>,
    pub skus: Vec<String>,
    pub deadline: Option<DateTime<Utc>>,
    pub placed_at: Option<DateTime<Utc>>,
    pub confirmed_at: Option<DateTime<Utc>>,
    pub shipped_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub outcome: Option<&'static str>,
    pub reason: Option<String>,
    pub last_event_at: DateTime<Utc>,
    pub forgotten: bool,
    /// Words by which it is found, in lower case.
    pub found_by: BTreeSet<String>,
}

impl Summary {
    /// By order, sorted, so that transactions which write the same orders can't deadlock.
    pub fn of_all(batch: &[Incoming<Arc<Heard>>]) -> BTreeMap<Uuid, Self> {
        let mut summaries = BTreeMap::<Uuid, Self>::new();
        for incoming in batch {
            if let Some(order) = order_of(incoming) {
                summaries.entry(order).or_default().hear(incoming);
            }
        }
        summaries
    }

    fn hear(&mut self, incoming: &Incoming<Arc<Heard>>) {
        let time = incoming.envelope.time;
        self.last_event_at = self.last_event_at.max(time);
        match incoming.envelope.event_type.as_str() {
            "order.placed.v1" => self.place(time, &body(incoming)),
            "order.confirmed.v1" => self.confirmed_at = Some(time),
            "order.completed.v1" => self.end(time, "completed", None),
            "order.cancelled.v1" => {
                let body = body(incoming);
                // The wire has it as the customer's wish, with who else it was beside it.
                let reason = text(&body, "/by").or_else(|| text(&body, "/reason"));
                self.end(time, "cancelled", reason);
            }
            "order.forgotten.v1" => self.forgotten = true,
            "shipment.dispatched.v1" => self.shipped_at = self.shipped_at.or(Some(time)),
            _ => {}
        }
        let is_named = ["shipment.", "payment."].iter().any(|kind| incoming.envelope.event_type.starts_with(kind));
        if is_named {
            self.found_by.extend(words(&body(incoming)));
        }
    }

    fn place(&mut self, time: DateTime<Utc>, placed: &Value) {
        self.placed_at = Some(time);
        self.number = text(placed, "/number");
        self.customer_id = text(placed, "/customer/id");
        self.customer_name = text(placed, "/customer/name");
        self.email = text(placed, "/customer/email");
        self.currency = text(placed, "/total/currency");
        self.total = placed.pointer("/total/amount").and_then(Value::as_i64);
        self.deadline = text(placed, "/deadline").and_then(|time| time.parse().ok());
        let lines = placed["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.skus = lines.iter().filter_map(|line| text(line, "/sku")).collect();
    }

    fn end(&mut self, time: DateTime<Utc>, outcome: &'static str, reason: Option<String>) {
        self.ended_at = Some(time);
        self.outcome = Some(outcome);
        self.reason = reason;
    }
}

/// The order that an event is about.
pub fn order_of(incoming: &Incoming<Arc<Heard>>) -> Option<Uuid> {
    incoming.envelope.correlation_id.as_deref().unwrap_or(&incoming.key).parse().ok()
}

/// The ids, tracking numbers and gateway's names in an event of a shipment or payment.
fn words(body: &Value) -> Vec<String> {
    let named =
        ["/tracking_number", "/previous_tracking_number", "/shipment_id", "/payment_id", "/refund_id", "/intent"];
    let named = named.iter().filter_map(|pointer| text(body, pointer));
    // The bank's page has the intent in its address.
    let url = text(body, "/url").unwrap_or_default();
    let of_url =
        url.split(|char: char| !char.is_ascii_alphanumeric() && char != '_').filter(|word| word.starts_with("pi_"));
    let words = named.chain(of_url.map(str::to_owned));
    words.map(|word| word.trim().to_lowercase()).filter(|word| (1..=LONGEST_WORD).contains(&word.len())).collect()
}

fn body(incoming: &Incoming<Arc<Heard>>) -> Value {
    serde_json::from_str(&incoming.event.body).unwrap_or_default()
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    let text = value.pointer(pointer).and_then(Value::as_str)?;
    Some(bounded(text))
}

/// What PostgreSQL can keep, and an index hold. No real one is longer.
pub fn bounded(text: &str) -> String {
    text.chars().take(LONGEST).map(|char| if char == '\0' { '\u{fffd}' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use service_kit::consumer::{Envelope, Place};

    use super::*;

    const ORDER: Uuid = Uuid::from_u128(0x0198_0a10_7c00_7000_8000_0000_0000_00a1);

    fn heard(event_type: &str, second: i64, body: &str) -> Incoming<Arc<Heard>> {
        let time = DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap();
        Incoming {
            event: Arc::new(Heard { headers: vec![], sent_at: None, body: body.to_owned() }),
            envelope: Envelope {
                id: Uuid::now_v7(),
                source: "/order-svc".to_owned(),
                event_type: event_type.to_owned(),
                time,
                subject: None,
                sequence: None,
                correlation_id: Some(ORDER.to_string()),
                causation_id: None,
                traceparent: None,
            },
            key: ORDER.to_string(),
            place: Place { topic: "orders.v1".to_owned(), partition: 0, offset: 0 },
        }
    }

    #[test]
    fn an_order_is_summed_up_from_what_was_heard_in_whatever_order() {
        let placed = r#"{"customer": {"id": "c-1", "name": "Ann", "email": "a@b.c"}, "lines": [{"sku": "TEA"}],
            "total": {"amount": 2598, "currency": "EUR"}, "deadline": "2026-01-01T00:00:00Z"}"#;
        let mut batch = [
            heard("order.placed.v1", 0, placed),
            heard("order.confirmed.v1", 1, "{}"),
            heard("shipment.dispatched.v1", 2, "{}"),
            heard("order.completed.v1", 3, "{}"),
        ];
        let whole = Summary::of_all(&batch).remove(&ORDER).unwrap();
        batch.reverse();
        assert_eq!(Summary::of_all(&batch).remove(&ORDER).unwrap(), whole);
        assert_eq!(
            (whole.total, whole.outcome, whole.skus.as_slice()),
            (Some(2598), Some("completed"), &["TEA".to_owned()][..])
        );
        assert!(whole.placed_at < whole.confirmed_at && whole.confirmed_at < whole.shipped_at);
    }

    #[test]
    fn an_order_is_found_by_what_its_parcels_and_payments_are_called() {
        let batch = [
            heard("shipment.dispatched.v1", 0, r#"{"tracking_number": " CE123IE ", "shipment_id": "D1"}"#),
            heard("payment.action_required.v1", 1, r#"{"url": "https://bank.example/3ds?payment_intent=pi_3Q0&x=1"}"#),
            heard("order.placed.v1", 2, r#"{"tracking_number": "not of a parcel"}"#),
            heard("shipment.lost.v1", 3, &format!(r#"{{"tracking_number": "{}"}}"#, "x".repeat(LONGEST_WORD + 1))),
        ];
        let found_by = Summary::of_all(&batch).remove(&ORDER).unwrap().found_by;
        assert_eq!(found_by.into_iter().collect::<Vec<_>>(), ["ce123ie", "d1", "pi_3q0"]);
    }

    #[test]
    fn an_order_that_staff_cancelled_was_not_cancelled_by_its_customer() {
        let reason = |body: &str| {
            let cancelled = heard("order.cancelled.v1", 0, body);
            Summary::of_all(&[cancelled]).remove(&ORDER).unwrap().reason
        };
        assert_eq!(reason(r#"{"reason": "customer", "by": "staff"}"#).as_deref(), Some("staff"));
        assert_eq!(reason(r#"{"reason": "customer"}"#).as_deref(), Some("customer"));
    }

    #[test]
    fn what_nobody_could_find_is_cut_and_what_can_t_be_kept_replaced() {
        let placed = format!(r#"{{"customer": {{"id": "a\u0000b", "email": "{}"}}}}"#, "x".repeat(9_000));
        let summary = Summary::of_all(&[heard("order.placed.v1", 0, &placed)]).remove(&ORDER).unwrap();
        assert_eq!(summary.customer_id.as_deref(), Some("a\u{fffd}b"));
        assert_eq!(summary.email.map(|email| email.len()), Some(LONGEST));
    }

    #[test]
    fn what_can_t_be_read_tells_nothing_and_does_no_harm() {
        let summary = Summary::of_all(&[heard("order.placed.v1", 0, "no JSON")]).remove(&ORDER).unwrap();
        assert_eq!((summary.total, summary.customer_id), (None, None));
        assert!(summary.placed_at.is_some());
    }
}
