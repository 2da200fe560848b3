//! Replays what the explorer saw on the services themselves, with PostgreSQL.

pub mod order;
pub mod payment;
pub mod stock;

use chrono::Utc;
use quadrille_model::{Label, Service};
use quadrille_testing::outbox;
use serde_json::Value;
use service_kit::consumer::Record;
use service_kit::testing::TestDb;
use shared_events::{Event, EventId, OrderId, Topic, header};

/// The event, as its service would have sent it.
fn record(event: &Event, sequence: i64) -> Record {
    quadrille_testing::record_numbered(event, sequence, Utc::now())
}

/// The same record, with this event id.
fn record_of(event: &Event, id: EventId, sequence: i64) -> Record {
    let mut record = record(event, sequence);
    let mut headers = record.headers.iter_mut();
    headers.find(|(name, _)| name == header::ID).unwrap().1 = id.to_string();
    record
}

/// The order's events on a topic, as the service wrote them to its outbox, in the form of [`in_essence`].
async fn said(db: &TestDb, order: OrderId, topic: Topic) -> Vec<Value> {
    let rows = outbox(db).await.into_iter().filter(|row| row.topic == topic.name() && row.key == order.to_string());
    rows.map(|row| in_essence(&row.event())).collect()
}

/// An event without the ids and times that differ in each run.
fn in_essence(event: &Event) -> Value {
    let mut value: Value = serde_json::from_slice(&event.value().unwrap()).unwrap();
    let fields = value.as_object_mut().unwrap();
    for fresh in ["payment_id", "refund_id", "shipment_id", "split_into", "expires_at", "kept", "shipments"] {
        fields.remove(fresh);
    }
    fields.insert("type".to_owned(), event.type_name().into());
    value
}

/// The service that carries out this action, if one does.
fn doer(label: &Label) -> Option<Service> {
    match (label.who, label.does) {
        ("the customer", "cancels" | "calls off the rest" | "wants it elsewhere")
        | ("time", "passes the order's deadline") => Some(Service::Order),
        ("the customer", "returns a line" | "refuses the parcel") | ("time", "ends the hold") => Some(Service::Stock),
        ("the warehouse" | "the carrier", _) => Some(Service::Stock),
        ("the gateway", _) => Some(Service::Payment),
        ("time", "passes the payment's deadline") => None,
        _ => panic!("no service is known to do this: {label}"),
    }
}
