//! What the services know of an order, each asked at once and each missing by itself.

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::Part;
use crate::pages::amount_in;
use crate::services::{Service, Services};
use crate::svg::swimlane::Mark;

/// An order as each service knows it.
#[derive(Debug, Serialize)]
pub struct Parts {
    order: Part,
    /// With refunds and what stands in the ledger; an order has one.
    payments: Part,
    parcels: Part,
    reservations: Part,
    messages: Part,
    /// What staff wrote about it, for each other.
    notes: Part,
}

impl Parts {
    pub async fn of(services: &Services, token: Option<&str>, order: Uuid) -> Self {
        let ask = |service: Service, path: String| async move {
            Part::of(service, services.get(service, &path, token).await)
        };
        let (order, payments, parcels, reservations, messages, notes) = tokio::join!(
            ask(Service::Orders, format!("/api/v1/orders/{order}")),
            payments(services, token, order),
            ask(Service::Stock, format!("/api/v1/shipments?order_id={order}&limit=100")),
            ask(Service::Stock, format!("/api/v1/reservations?order_id={order}")),
            ask(Service::Notifications, format!("/api/v1/notifications?order_id={order}&limit=100")),
            ask(Service::Orders, format!("/api/v1/orders/{order}/notes?limit=50")),
        );
        Self { order, payments, parcels, reservations, messages, notes }
    }

    /// What order-svc says of it, if it says anything.
    pub const fn order(&self) -> &Value {
        &self.order.value
    }

    /// What is known besides events, by when it was.
    pub fn marks(&self) -> Vec<Mark> {
        let ledger = self.payments.items().iter().flat_map(|payment| list(&payment["ledger"])).filter_map(entry);
        let refunds = self.payments.items().iter().flat_map(|payment| list(&payment["refunds"])).filter_map(refund);
        let parcels = self.parcels.items().iter().filter_map(packed);
        let messages = self.messages.items().iter().filter_map(message);
        ledger.chain(refunds).chain(parcels).chain(messages).collect()
    }
}

/// The payments of an order, each whole.
async fn payments(services: &Services, token: Option<&str>, order: Uuid) -> Part {
    let listed = services.get(Service::Payments, &format!("/api/v1/payments?order_id={order}"), token).await;
    let mut part = Part::of(Service::Payments, listed);
    let ids: Vec<Uuid> =
        part.items().iter().filter_map(|payment| payment["id"].as_str()?.parse().ok()).take(5).collect();
    let paths: Vec<_> = ids.iter().map(|id| format!("/api/v1/payments/{id}")).collect();
    let whole = join_all(paths.iter().map(|path| services.get(Service::Payments, path, token))).await;
    for (index, whole) in whole.into_iter().enumerate() {
        match whole {
            Ok(whole) => part.value["items"][index] = whole,
            Err(failure) => part.trouble = Some(super::trouble(Service::Payments.name(), &failure)),
        }
    }
    part
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn at(value: &Value) -> Option<DateTime<Utc>> {
    value.as_str()?.parse().ok()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn money(value: &Value) -> String {
    match (value["amount"].as_i64(), value["currency"].as_str()) {
        (Some(amount), Some(currency)) => amount_in(amount, currency),
        _ => String::new(),
    }
}

fn entry(entry: &Value) -> Option<Mark> {
    let what = format!("the ledger says {} of {}", text(entry, "operation"), money(&entry["amount"]));
    Some(Mark { service: "payment-svc", at: at(&entry["at"])?, what })
}

fn refund(refund: &Value) -> Option<Mark> {
    let what = format!("a refund of {} was asked for; it is {}", money(&refund["amount"]), text(refund, "status"));
    Some(Mark { service: "payment-svc", at: at(&refund["created_at"])?, what })
}

fn packed(parcel: &Value) -> Option<Mark> {
    Some(Mark { service: "stock-svc", at: at(&parcel["packed_at"])?, what: "a parcel was packed".to_owned() })
}

fn message(message: &Value) -> Option<Mark> {
    let what = format!("{} by {} left", text(message, "template"), text(message, "channel"));
    Some(Mark { service: "notification-svc", at: at(&message["sent_at"])?, what })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn part(items: Value) -> Part {
        Part { service: "any", trouble: None, value: json!({"items": items}) }
    }

    #[test]
    fn what_services_did_besides_announcing_is_marked_at_its_time() {
        let time = "2026-07-14T09:30:01Z";
        let nothing = part(json!([]));
        let parts = Parts {
            order: nothing.clone(),
            payments: part(json!([{
                "ledger": [{"operation": "authorise", "amount": {"amount": 2598, "currency": "EUR"}, "at": time}],
                "refunds": [{"amount": {"amount": 1, "currency": "EUR"}, "status": "done", "created_at": "never"}]
            }])),
            parcels: part(json!([{"packed_at": null}, {"packed_at": time}])),
            reservations: nothing.clone(),
            notes: nothing,
            messages: part(json!([{"template": "order_placed", "channel": "email", "sent_at": time}])),
        };
        let marks = parts.marks();
        let told: Vec<_> = marks.iter().map(|mark| (mark.service, mark.what.as_str())).collect();
        assert_eq!(
            told,
            [
                ("payment-svc", "the ledger says authorise of €25.98"),
                ("stock-svc", "a parcel was packed"),
                ("notification-svc", "order_placed by email left")
            ]
        );
        assert!(marks.iter().all(|mark| mark.at == time.parse::<DateTime<Utc>>().unwrap()));
    }
}
