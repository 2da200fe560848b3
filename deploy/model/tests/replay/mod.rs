//! Replays what the explorer saw on the services themselves, with PostgreSQL.

pub mod order;
pub mod payment;
pub mod stock;

use chrono::Utc;
use diesel::sql_types::{Bytea, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use quadrille_model::{Label, Service};
use serde_json::Value;
use service_kit::consumer::Record;
use service_kit::testing::TestDb;
use shared_events::{Event, EventId, EventMetadata, OrderId, SequenceCounter, Topic, encode, header};

struct At(i64);

impl SequenceCounter for At {
    fn next_sequence(&mut self, _: Topic) -> i64 {
        self.0
    }
}

/// The event, as its service would have sent it.
fn record(event: &Event, sequence: i64) -> Record {
    let metadata = EventMetadata { source: "/dance", at: Utc::now(), causation_id: None, traceparent: None };
    let message = encode(&mut At(sequence), &metadata, std::slice::from_ref(event)).unwrap().remove(0);
    Record::sent(message.topic.name(), message.key, message.headers, message.value)
}

/// The same record, with this event id.
fn record_of(event: &Event, id: EventId, sequence: i64) -> Record {
    let mut record = record(event, sequence);
    let mut headers = record.headers.iter_mut();
    headers.find(|(name, _)| name == header::ID).unwrap().1 = id.to_string();
    record
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    event_type: String,
    #[diesel(sql_type = Bytea)]
    payload: Vec<u8>,
}

/// The order's events on a topic, as the service wrote them to its outbox, in the form of [`in_essence`].
async fn said(db: &TestDb, order: OrderId, topic: Topic) -> Vec<Value> {
    let outbox = "select h.value ->> 1 as event_type, payload from outbox cross join json_array_elements(headers) h \
                  where h.value ->> 0 = 'ce_type' and topic = $1 and key = $2 order by id";
    let query = sql_query(outbox).bind::<Text, _>(topic.name()).bind::<Text, _>(order.to_string());
    let rows: Vec<Row> = query.load(&mut db.conn().await).await.unwrap();
    rows.iter().map(|row| in_essence(&Event::decode(&row.event_type, &row.payload).unwrap())).collect()
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
