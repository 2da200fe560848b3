//! What the tests of this service share: a shop that speaks, a database that hears, a look at what was kept and said.
#![allow(dead_code, reason = "shared by several test programs, each of which needs a part")]

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Bytea, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use notification_svc::commands::record_deliveries::{Tried, record_deliveries};
use notification_svc::domain::{Templates, Verdict};
use notification_svc::mail::Deliveries;
use notification_svc::reactions::NotificationReactions;
use notification_svc::store::notifications::{self, Due, Filter, View};
use service_kit::consumer::testing::react;
use service_kit::consumer::{Outcome, Record};
use service_kit::external_calls::{ExternalCalls, Nudge};
use service_kit::testing::TestDb;
use shared_events::*;

/// A migrated database, the reactions on it, and the rest of the shop as far as it speaks.
pub struct Shop {
    pub db: TestDb,
    pub reactions: NotificationReactions,
    said: HashMap<Topic, i64>,
    clock: DateTime<Utc>,
}

impl SequenceCounter for Shop {
    fn next_sequence(&mut self, topic: Topic) -> i64 {
        let count = self.said.entry(topic).or_default();
        *count += 1;
        *count
    }
}

impl Shop {
    pub async fn new() -> Self {
        let db = TestDb::new(&notification_svc::migrations()).await;
        let reactions = NotificationReactions::new(Templates::new().unwrap(), Nudge::default());
        Self { db, reactions, said: HashMap::new(), clock: Utc::now() - Duration::hours(1) }
    }

    /// The event as it would lie in Kafka, said a second after the last.
    pub fn says(&mut self, event: impl Into<Event>) -> Record {
        self.clock += Duration::seconds(1);
        let metadata = EventMetadata { source: "/a-svc", at: self.clock, causation_id: None, traceparent: None };
        let message = encode(self, &metadata, &[event.into()]).unwrap().remove(0);
        Record::sent(message.topic.name(), message.key, message.headers, message.value)
    }

    /// Has the service hear a record.
    pub async fn hears(&self, record: &Record) -> Outcome {
        react(&self.db.pool, &self.reactions, record).await.unwrap()
    }

    /// Says and hears.
    pub async fn hear(&mut self, event: impl Into<Event>) -> Outcome {
        let record = self.says(event);
        self.hears(&record).await
    }

    /// In the order in which they were made; a list has the newest first.
    pub async fn messages(&self) -> Vec<View> {
        let mut newest_first = notifications::list(&mut *self.db.conn().await, Filter::default(), 100).await.unwrap();
        newest_first.reverse();
        newest_first
    }

    /// Which texts are there and in which status.
    pub async fn told(&self) -> Vec<(String, String)> {
        self.messages().await.into_iter().map(|message| (message.template, message.status)).collect()
    }

    pub async fn take(&self) -> Vec<Due> {
        notifications::take_due(&mut *self.db.conn().await, 100).await.unwrap()
    }

    /// Takes what is due, has it sent, and says which texts that were.
    pub async fn takes_and_sends(&self) -> Vec<String> {
        let taken = self.take().await;
        let tried: Vec<_> = taken.iter().map(sent).collect();
        record_deliveries(&mut *self.db.conn().await, &tried).await.unwrap();
        taken.into_iter().map(|due| due.template).collect()
    }

    /// Sends each, and records what came of each by itself.
    pub async fn performs(deliveries: &Deliveries, taken: impl IntoIterator<Item = Due>) {
        for due in taken {
            let made = deliveries.make(due).await;
            deliveries.settle(&[made]).await.unwrap();
        }
    }

    /// Lets every lease and every wait end now.
    pub async fn time_passes(&self) {
        self.sql("update notifications set due_at = now()").await;
    }

    /// Lets the inbox forget, as it does with what is older than it reaches.
    pub async fn inbox_forgets(&self) {
        self.sql("delete from inbox").await;
    }

    /// Runs a statement.
    pub async fn sql(&self, text: &str) {
        diesel::sql_query(text).execute(&mut *self.db.conn().await).await.unwrap();
    }

    /// What the service said, in order.
    pub async fn said(&self) -> Vec<Event> {
        let rows = outbox(&mut *self.db.conn().await).await;
        rows.iter().map(|row| Event::decode(&row.header(header::TYPE), &row.payload).unwrap()).collect()
    }
}

/// What the worker would record of a mail that the server has taken.
pub fn sent(due: &Due) -> Tried {
    Tried {
        id: NotificationId(due.id),
        order: OrderId(due.order_id),
        event: due.event_id,
        template: due.template.clone(),
        attempt: due.attempts,
        traceparent: None,
        verdict: Verdict::Sent,
    }
}

/// A row of the outbox.
#[derive(QueryableByName)]
pub struct OutboxRow {
    #[diesel(sql_type = Text)]
    pub topic: String,
    #[diesel(sql_type = Text)]
    pub key: String,
    #[diesel(sql_type = Text)]
    headers: String,
    #[diesel(sql_type = Bytea)]
    pub payload: Vec<u8>,
}

impl OutboxRow {
    pub fn header(&self, name: &str) -> String {
        let headers: serde_json::Value = serde_json::from_str(&self.headers).unwrap();
        match &headers {
            serde_json::Value::Object(object) => object[name].as_str().unwrap().to_owned(),
            pairs => {
                let pairs: Vec<(String, String)> = serde_json::from_value(pairs.clone()).unwrap();
                pairs.into_iter().find(|(known, _)| known == name).unwrap().1
            }
        }
    }
}

pub async fn outbox(conn: &mut AsyncPgConnection) -> Vec<OutboxRow> {
    diesel::sql_query("select topic, key, headers::text as headers, payload from outbox order by id")
        .load(conn)
        .await
        .unwrap()
}

pub fn placed(order_id: OrderId) -> OrderPlaced {
    let line = |text: &str| -> LineText { text.parse().unwrap() };
    OrderPlaced {
        order_id,
        customer: Customer {
            id: "c-1".parse().unwrap(),
            name: line("Ann Lee"),
            email: "ann@example.com".parse().unwrap(),
        },
        delivery_address: Address {
            line1: line("1 Quay St"),
            line2: None,
            city: line("Cork"),
            postal_code: line("T12"),
            country: CountryCode::try_from("IE".to_owned()).unwrap(),
        },
        lines: vec![OrderLine {
            sku: "TEA".parse().unwrap(),
            name: line("Tea"),
            quantity: Quantity::try_from(2).unwrap(),
            unit_price: eur(1299),
        }],
        total: eur(2598),
        payment_method: "pm_card_visa".parse().unwrap(),
        deadline: Utc::now(),
    }
}

pub fn confirmed(order_id: OrderId) -> OrderConfirmed {
    OrderConfirmed { order_id }
}

pub fn cancelled(order_id: OrderId) -> OrderCancelled {
    OrderCancelled::new(order_id, CancelReason::OutOfStock)
}

pub fn action_required(order_id: OrderId) -> PaymentActionRequired {
    let url = Some("https://bank.example.com/3ds".to_owned());
    PaymentActionRequired { order_id, payment_id: PaymentId::new(), deadline: Some(Utc::now()), url }
}

pub fn dispatched(order_id: OrderId) -> ShipmentDispatched {
    let (carrier, tracking_number) = ("An Post".parse().unwrap(), "CE1".parse().unwrap());
    ShipmentDispatched { order_id, shipment_id: ShipmentId::new(), carrier, tracking_number }
}

pub fn refunded(order_id: OrderId, amount: i64, remaining: i64) -> PaymentRefunded {
    PaymentRefunded {
        order_id,
        payment_id: PaymentId::new(),
        refund_id: RefundId::new(),
        amount: eur(amount),
        remaining: eur(remaining),
    }
}

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR).unwrap()
}
