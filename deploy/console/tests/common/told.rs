//! Orders as they are told of, and services that know nothing.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use service_kit::consumer::Record;
use uuid::Uuid;

use super::Console;

/// An order that was placed half an hour ago, and what is told of it.
pub struct Told {
    pub order: Uuid,
    pub began: DateTime<Utc>,
    sequence: i64,
}

impl Told {
    pub fn new() -> Self {
        Self { order: Uuid::now_v7(), began: Utc::now() - TimeDelta::minutes(30), sequence: 0 }
    }

    /// An event of the order, a second after the one before it; its id.
    pub fn event(&mut self, source: &str, event_type: &str, cause: Option<Uuid>, body: Value) -> (Uuid, Record) {
        let topic = match event_type.split('.').next().unwrap() {
            "order" => "orders.v1",
            "stock" => "stock.v1",
            "payment" => "payments.v1",
            "shipment" => "shipments.v1",
            _ => "notifications.v1",
        };
        self.sequence += 1;
        let time = self.began + TimeDelta::seconds(self.sequence);
        let id = Uuid::now_v7();
        let mut headers = vec![
            ("ce_specversion".to_owned(), "1.0".to_owned()),
            ("ce_id".to_owned(), id.to_string()),
            ("ce_source".to_owned(), source.to_owned()),
            ("ce_type".to_owned(), event_type.to_owned()),
            ("ce_time".to_owned(), time.to_rfc3339()),
            ("ce_subject".to_owned(), self.order.to_string()),
            ("ce_sequence".to_owned(), format!("{:020}", self.sequence)),
            ("ce_correlationid".to_owned(), self.order.to_string()),
            ("ce_traceparent".to_owned(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        headers.extend(cause.map(|cause| ("ce_causationid".to_owned(), cause.to_string())));
        (id, Record::sent(topic, self.order.to_string(), headers, body.to_string()))
    }

    pub fn placed(&mut self, number: &str, sku: &str) -> (Uuid, Record) {
        let body = json!({
            "order_id": self.order, "number": number, "customer": {"id": "c-1001", "name": "Ann", "email": "Ann@Example.com"},
            "lines": [{"sku": sku, "quantity": 2}], "total": {"amount": 2598, "currency": "EUR"}, "deadline": self.began
        });
        self.event("/order-svc", "order.placed.v1", None, body)
    }
}

/// A page, with its status. Slashes are escaped on it, which nobody has to know.
pub async fn shown(console: &Console, at: &str) -> (u16, String) {
    let (status, page) = console.page(at).await;
    (status, page.replace("&#x2f;", "/"))
}

/// The services say nothing of orders but that there is none.
pub async fn with_empty_services(console: &Console) {
    for list in ["payments", "shipments", "reservations", "notifications", "overdue-orders", "products", "actions"] {
        console.answers("GET", &format!("/api/v1/{list}"), 200, json!({"items": [], "next_cursor": null})).await;
    }
    for list in ["dead-letters", "dead-letters/groups", "dead-letters/jobs"] {
        console.answers("GET", &format!("/api/v1/{list}"), 200, json!({"items": [], "next_cursor": null})).await;
    }
    console.answers("GET", "/readyz", 200, json!({"status": "ready", "checks": {"database": "ok"}})).await;
}
