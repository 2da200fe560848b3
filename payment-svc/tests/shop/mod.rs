//! What the tests of this service share: its tables, its reactions and its worker, with a gateway of choice.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "shared by several tests, which fail by panicking"
)]

pub mod gateways;
pub mod sandbox;
pub mod served;

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{QueryableByName, sql_query, sql_types};
use diesel_async::RunQueryDsl;
use payment_svc::{
    commands::{self, Settlement},
    domain::{Answer, Payment},
    gateway::PaymentGateway,
    migrations,
    reactions::PaymentReactions,
    retries::Retries,
    store::{RETRY, calls::TakenCall, payments},
    worker::GatewayCalls,
};
use service_kit::{
    consumer::{Outcome, Record, testing::react},
    external_calls::ExternalCalls,
    testing::TestDb,
    timers,
};
use shared_events::{
    CancelReason, EncodedEvent, Event, EventMetadata, Money, OrderConfirmed, OrderId, OrderPlaced, PaymentEvent,
    RestockCause, SequenceCounter, ShipmentId, ShipmentLost, StockExpired, StockRejected, StockReleased, StockReserved,
    StockRestocked, Topic, encode,
};

/// An order's facts, as the other services would say them.
pub struct Order {
    pub id: OrderId,
    method: &'static str,
    currency: &'static str,
}

impl Order {
    pub fn new(method: &'static str) -> Self {
        Self { id: OrderId::new(), method, currency: "EUR" }
    }

    /// The same figures in another currency.
    pub fn priced_in(self, currency: &'static str) -> Self {
        Self { currency, ..self }
    }

    pub fn placed(&self) -> Event {
        let value = serde_json::json!({
            "order_id": self.id,
            "customer": {"id": "c-1001", "name": "Ann Lee", "email": "ann@example.com"},
            "delivery_address":
                {"line1": "1 Quay St", "line2": null, "city": "Cork", "postal_code": "T12", "country": "IE"},
            "lines": [
                {"sku": "TEA", "name": "Tea", "quantity": 2, "unit_price": {"amount": 1000, "currency": self.currency}},
                {"sku": "POT", "name": "Pot", "quantity": 1, "unit_price": {"amount": 598, "currency": self.currency}},
            ],
            "total": {"amount": 2598, "currency": self.currency},
            "payment_method": self.method,
            "deadline": Utc::now() + TimeDelta::minutes(20),
        });
        serde_json::from_value::<OrderPlaced>(value).unwrap().into()
    }

    pub fn reserved(&self) -> Event {
        self.reserved_until(Utc::now() + TimeDelta::minutes(15))
    }

    pub fn reserved_until(&self, expires_at: DateTime<Utc>) -> Event {
        StockReserved { order_id: self.id, expires_at }.into()
    }

    pub fn confirmed(&self) -> Event {
        OrderConfirmed { order_id: self.id }.into()
    }

    pub fn released(&self) -> Event {
        StockReleased { order_id: self.id, reason: CancelReason::Customer }.into()
    }

    pub fn expired(&self) -> Event {
        StockExpired { order_id: self.id }.into()
    }

    pub fn rejected(&self, why: &str) -> Event {
        let value = serde_json::json!({"order_id": self.id, "why": why, "lines": []});
        serde_json::from_value::<StockRejected>(value).unwrap().into()
    }

    /// A parcel with these lines was lost.
    pub fn lost(&self, lines: &[(&str, i64)]) -> Event {
        let lines = lines.iter().map(|(sku, quantity)| serde_json::json!({"sku": sku, "quantity": quantity}));
        let lines = serde_json::from_value(lines.collect()).unwrap();
        ShipmentLost { order_id: self.id, shipment_id: ShipmentId::new(), lines }.into()
    }

    pub fn restocked(&self, lines: &[(&str, i64)]) -> Event {
        let lines = lines.iter().map(|(sku, quantity)| serde_json::json!({"sku": sku, "quantity": quantity}));
        let lines = serde_json::from_value(lines.collect()).unwrap();
        StockRestocked { order_id: self.id, cause: RestockCause::Cancelled, lines }.into()
    }
}

struct Sequences(HashMap<Topic, i64>);

impl SequenceCounter for Sequences {
    fn next_sequence(&mut self, topic: Topic) -> i64 {
        let count = self.0.entry(topic).or_default();
        *count += 1;
        *count
    }
}

/// The event as a record that another service has sent.
pub fn record(event: Event) -> Record {
    let metadata = EventMetadata { source: "/test", at: Utc::now(), causation_id: None, traceparent: None };
    let messages = encode(&mut Sequences(HashMap::new()), &metadata, &[event]).unwrap();
    let EncodedEvent { topic, key, headers, value, .. } = messages.into_iter().next().unwrap();
    Record::sent(topic.name(), key, headers, value)
}

/// payment-svc without Kafka.
pub struct Shop<G> {
    pub db: TestDb,
    pub calls: GatewayCalls<G>,
    pub reactions: PaymentReactions,
}

#[derive(QueryableByName)]
struct OutboxRow {
    #[diesel(sql_type = sql_types::Json)]
    headers: serde_json::Value,
    #[diesel(sql_type = sql_types::Binary)]
    payload: Vec<u8>,
}

impl<G: PaymentGateway> Shop<G> {
    pub async fn new(gateway: G) -> Self {
        let db = TestDb::new(&migrations()).await;
        let calls = GatewayCalls::new(db.pool.clone(), Arc::new(gateway), || {});
        let deadline = Duration::from_secs(14 * 60);
        let reactions = PaymentReactions { deadline, relay: Default::default(), calls: Default::default() };
        Self { db, calls, reactions }
    }

    pub async fn hear_record(&self, record: &Record) -> Outcome {
        react(&self.db.pool, &self.reactions, record).await.unwrap()
    }

    pub async fn hear(&self, events: impl IntoIterator<Item = Event>) -> Outcome {
        let mut last = Outcome::Skipped;
        for event in events {
            last = self.hear_record(&record(event)).await;
        }
        last
    }

    /// Makes the calls that are due, until there are none.
    pub async fn call_gateway(&self) {
        loop {
            let taken = self.calls.take(10).await.unwrap();
            if taken.is_empty() {
                return;
            }
            for call in taken {
                self.calls.perform(call).await.unwrap();
            }
        }
    }

    /// The gateway's answer to a taken call comes.
    pub async fn settle(&self, call: &TakenCall, answer: Answer) {
        let settlement = Settlement::of(call.clone(), answer);
        commands::settle(&mut *self.db.conn().await, &[settlement]).await.unwrap();
    }

    /// Lets the time of a retry come.
    pub async fn retry(&self, order: &Order) {
        let (retries, key) = (Retries { calls: Default::default() }, order.id.to_string());
        timers::fire_by_hand(&mut *self.db.conn().await, &retries, RETRY, &[&key]).await.unwrap();
    }

    /// The gateway's name for the payment.
    pub async fn intent(&self, order: &Order) -> String {
        self.payment(order).await.intent.unwrap()
    }

    /// The gateway's name for the one refund.
    pub async fn refund_name(&self) -> String {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = sql_types::Text)]
            gateway_id: String,
        }
        let row: Row = sql_query("select gateway_id from refunds").get_result(&mut self.db.conn().await).await.unwrap();
        row.gateway_id
    }

    /// Lets the time of waiting calls come, and the leases of those end that a worker had taken.
    pub async fn make_due(&self) {
        let sql = "update gateway_calls set due_at = now(), leased_until = null where finished_at is null";
        sql_query(sql).execute(&mut self.db.conn().await).await.unwrap();
    }

    /// What was announced, in the order of the outbox, in words.
    pub async fn said(&self) -> Vec<String> {
        let rows: Vec<OutboxRow> =
            sql_query("select headers, payload from outbox order by id").load(&mut self.db.conn().await).await.unwrap();
        let mut sequences: HashMap<String, i64> = HashMap::new();
        rows.iter()
            .map(|row| {
                let pairs: Vec<(String, String)> = serde_json::from_value(row.headers.clone()).unwrap();
                let headers: HashMap<_, _> = pairs.into_iter().collect();
                let expected = sequences.entry(headers["ce_correlationid"].clone()).or_default();
                *expected += 1;
                assert_eq!(headers["ce_sequence"].parse::<i64>().unwrap(), *expected);
                in_words(&Event::decode(&headers["ce_type"], &row.payload).unwrap())
            })
            .collect()
    }

    pub async fn payment(&self, order: &Order) -> Payment {
        payments::read(&mut *self.db.conn().await, order.id).await.unwrap()
    }

    /// Operation and outcome of every call that was decided on, in order.
    pub async fn decided(&self) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = sql_types::Text)]
            line: String,
        }
        let sql =
            "select operation || ' ' || coalesce(outcome, 'unfinished') as line from gateway_calls order by created_at";
        let rows: Vec<Row> = sql_query(sql).load(&mut self.db.conn().await).await.unwrap();
        rows.into_iter().map(|row| row.line).collect()
    }

    /// What each account holds of all payments.
    pub async fn balances(&self) -> Vec<(String, i64)> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = sql_types::Text)]
            account: String,
            #[diesel(sql_type = sql_types::BigInt)]
            balance: i64,
        }
        let sql = "select account, balance from ledger_balances order by account";
        let rows: Vec<Row> = sql_query(sql).load(&mut self.db.conn().await).await.unwrap();
        rows.into_iter().map(|row| (row.account, row.balance)).collect()
    }

    /// The ledger, in the words of the gateway's journal.
    pub async fn ledger(&self, order: &Order) -> Vec<String> {
        let id = self.payment(order).await.id;
        let entries = payment_svc::store::ledger::of(&mut *self.db.conn().await, id).await.unwrap();
        entries.into_iter().map(|e| format!("{} {} {} {}", e.operation, e.amount, e.currency, e.key)).collect()
    }
}

fn in_words(event: &Event) -> String {
    let money = |money: Money| money.amount().to_string();
    match event {
        Event::Payment(PaymentEvent::Authorized(e)) => format!("authorized {}", money(e.amount)),
        Event::Payment(PaymentEvent::Declined(e)) => format!("declined {} {}", e.code, e.retryable),
        Event::Payment(PaymentEvent::Captured(e)) => format!("captured {}", money(e.amount)),
        Event::Payment(PaymentEvent::CaptureFailed(e)) => format!("capture_failed {}", e.code),
        Event::Payment(PaymentEvent::Voided(e)) => format!("voided {}", money(e.amount)),
        Event::Payment(PaymentEvent::Refunded(e)) => {
            format!("refunded {} remaining {}", money(e.amount), money(e.remaining))
        }
        Event::Payment(PaymentEvent::Unknown(e)) => format!("unknown {:?}", e.operation),
        other => other.type_name().to_owned(),
    }
}
