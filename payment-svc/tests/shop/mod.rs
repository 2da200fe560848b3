//! What the tests of this service share: its tables, its reactions and its worker, with a gateway of choice.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "shared by several tests, which fail by panicking"
)]

pub mod gateways;
pub mod sandbox;
pub mod scene;
pub mod served;

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use payment_svc::commands::{self, Settlement};
use payment_svc::domain::{GatewayReply, Payment};
use payment_svc::gateway::PaymentGateway;
use payment_svc::migrations;
use payment_svc::reactions::PaymentReactions;
use payment_svc::retries::Retries;
use payment_svc::store::calls::TakenCall;
use payment_svc::store::{RETRY, payments};
use payment_svc::worker::GatewayCalls;
pub use quadrille_testing::record;
use quadrille_testing::{lines, outbox};
use service_kit::consumer::testing::react;
use service_kit::consumer::{Outcome, Record};
use service_kit::external_calls::ExternalCalls;
use service_kit::testing::TestDb;
use service_kit::timers;
use shared_events::{
    CancelReason, Event, Money, OrderConfirmed, OrderId, OrderPlaced, PaymentEvent, RestockCause, ShipmentId,
    ShipmentLost, StockExpired, StockRejected, StockReleased, StockReserved, StockRestocked,
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
    pub fn lost(&self, of: &[(&str, i64)]) -> Event {
        ShipmentLost { order_id: self.id, shipment_id: ShipmentId::new(), lines: lines(of) }.into()
    }

    pub fn restocked(&self, of: &[(&str, i64)]) -> Event {
        StockRestocked { order_id: self.id, cause: RestockCause::Cancelled, lines: lines(of) }.into()
    }
}

/// payment-svc without Kafka.
pub struct Shop<G> {
    pub db: TestDb,
    pub calls: GatewayCalls<G>,
    pub reactions: PaymentReactions,
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

    /// Hears these events, and makes the calls that follow.
    pub async fn hear_and_call(&self, events: impl IntoIterator<Item = Event>) {
        self.hear(events).await;
        self.call_gateway().await;
    }

    /// Also makes the calls that are not due yet.
    pub async fn call_again(&self) {
        self.make_due().await;
        self.call_gateway().await;
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
    pub async fn settle(&self, call: &TakenCall, answer: GatewayReply) {
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
        self.db.row("select gateway_id from refunds").await
    }

    /// Lets the time of waiting calls come, and the leases of those end that a worker had taken.
    pub async fn make_due(&self) {
        let sql = "update gateway_calls set due_at = now(), leased_until = null where finished_at is null";
        self.db.run(sql).await;
    }

    /// What was announced, in the order of the outbox, in words.
    pub async fn said(&self) -> Vec<String> {
        let mut sequences: HashMap<String, i64> = HashMap::new();
        outbox(&self.db)
            .await
            .iter()
            .map(|row| {
                let expected = sequences.entry(row.headers["ce_correlationid"].clone()).or_default();
                *expected += 1;
                assert_eq!(row.sequence(), *expected);
                in_words(&row.event())
            })
            .collect()
    }

    pub async fn payment(&self, order: &Order) -> Payment {
        payments::read(&mut *self.db.conn().await, order.id).await.unwrap()
    }

    /// Operation and outcome of every call that was decided on, in order.
    pub async fn decided(&self) -> Vec<String> {
        let calls = "select operation || ' ' || coalesce(outcome, 'unfinished') from gateway_calls order by created_at";
        self.db.rows(calls).await
    }

    /// What each account holds of all payments.
    pub async fn balances(&self) -> Vec<(String, i64)> {
        self.db.rows("select account, balance from ledger_balances order by account").await
    }

    /// The ledger, in the words of the gateway's journal.
    pub async fn ledger(&self, order: &Order) -> Vec<String> {
        let id = self.payment(order).await.id;
        let entries = payment_svc::store::ledger::of(&*self.db.conn().await, id).await.unwrap();
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
