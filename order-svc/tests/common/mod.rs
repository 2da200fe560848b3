//! A shop of which only order-svc is real: its database is, and what other services would say is said by the test.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod server;
pub mod sse;
pub mod tokens;

use std::time::Duration;

use order_svc::commands::{self, PlaceOrder, PlaceOrderError};
use order_svc::domain::{CustomerDraft, Order, OrderDraft, Profile};
use order_svc::reactions::OrderReactions;
use order_svc::store;
use order_svc::store::stored_responses::StoredResponse;
use outbox_relay::{DeadLetters, Nudge};
pub use quadrille_testing::{Others, eur};
use quadrille_testing::{OutboxRow, address, customer, outbox};
use service_kit::consumer::testing::react_as;
use service_kit::consumer::{Outcome, Record, Subscription};
use service_kit::testing::TestDb;
use shared_events::*;

pub struct Shop {
    pub db: TestDb,
    pub reactions: OrderReactions,
    others: Others,
}

/// Something said of an order.
pub type Fact = fn(OrderId) -> Event;

impl Shop {
    /// order-svc with a catalogue of TEA, MUG and OLD, which is withdrawn.
    pub async fn new() -> Self {
        let db = TestDb::new(&order_svc::migrations()).await;
        let shop = Self { db, reactions: OrderReactions::new(Nudge::default()), others: Others::default() };
        shop.hear(product("TEA", 12_99, ProductStatus::Active)).await;
        shop.hear(product("MUG", 5_00, ProductStatus::Active)).await;
        shop.hear(product("OLD", 5_00, ProductStatus::Withdrawn)).await;
        shop
    }

    /// With an order, as [`Self::place`] places it.
    pub async fn with_an_order() -> (Self, OrderId) {
        let shop = Self::new().await;
        let id = shop.place().await;
        (shop, id)
    }

    /// An event as another service would send it.
    pub fn record(&self, event: impl Into<Event>) -> Record {
        self.others.record(event)
    }

    /// The service hears it, once more if it was heard before.
    pub async fn hear_record(&self, record: &Record) -> Outcome {
        let topic = record.place.topic.as_str();
        let subscription = if topic == Topic::Products.name() {
            Subscription::latest_per_key(topic)
        } else {
            Subscription::inbox(topic)
        };
        react_as(&self.db.pool, "order-svc", &subscription, &self.reactions, &DeadLetters, record).await.unwrap()
    }

    pub async fn hear(&self, event: impl Into<Event>) -> Outcome {
        self.hear_record(&self.record(event)).await
    }

    pub async fn hear_all(&self, id: OrderId, facts: &[Fact]) {
        for fact in facts {
            self.hear(fact(id)).await;
        }
    }

    /// Places an order of two TEA and one MUG.
    pub async fn place(&self) -> OrderId {
        let answer = self.place_draft(draft(&[("TEA", 2), ("MUG", 1)])).await.unwrap();
        answer.location.parse().unwrap()
    }

    pub async fn place_draft(&self, draft: OrderDraft) -> Result<StoredResponse, PlaceOrderError> {
        let deadline = Duration::from_secs(20 * 60);
        let command = PlaceOrder { draft, idempotency: None, deadline, prices_known: true };
        let answer = |order: &Order| Ok(StoredResponse { location: order.placed.order_id.to_string(), body: vec![] });
        commands::place_order(&self.db.pool, command, answer).await
    }

    pub async fn order(&self, id: OrderId) -> Order {
        let conn = self.db.conn().await;
        store::orders::find(&conn, id).await.unwrap().unwrap()
    }

    /// Status and reason, as in `cancelled customer`.
    pub async fn status(&self, id: OrderId) -> String {
        let status = self.order(id).await.progress.status;
        let reason = status.reason().map(|reason| format!(" {}", reason.as_str()));
        format!("{}{}", status.name(), reason.unwrap_or_default())
    }

    /// What the service said of the order, in order. The sequence must run from 1 without a gap.
    pub async fn said(&self, id: OrderId) -> Vec<String> {
        let of_order = |row: &OutboxRow| row.topic == Topic::Orders.name() && row.key == id.to_string();
        let said: Vec<_> = outbox(&self.db).await.into_iter().filter(of_order).collect();
        assert!((1..).zip(&said).all(|(expected, row)| row.sequence() == expected), "{said:?}");
        said.iter().map(|row| row.event_type().to_owned()).collect()
    }

    pub async fn count(&self, sql: &str) -> i64 {
        self.db.row(sql).await
    }
}

pub fn product(sku: &str, price: i64, status: ProductStatus) -> Event {
    let state = ProductState {
        sku: sku.parse().unwrap(),
        name: "Something".parse().unwrap(),
        category: None,
        price: eur(price),
        status,
        low_stock_mark: None,
    };
    ProductChanged(state).into()
}

pub fn draft(lines: &[(&str, i64)]) -> OrderDraft {
    let Customer { id, name, email } = customer();
    OrderDraft {
        customer: CustomerDraft { id, name: Some(name), email: Some(email), is_guest: false },
        delivery_address: Some(address("1 Quay St")),
        currency: Currency::EUR,
        lines: lines.iter().map(|(sku, quantity)| (sku.parse().unwrap(), (*quantity).try_into().unwrap())).collect(),
        payment_method: "pm_card_visa".parse().unwrap(),
    }
}

/// The profile of Ann Lee, who is reached by mail alone.
pub fn profile() -> Profile {
    let Customer { name, email, .. } = customer();
    Profile {
        name,
        email,
        phone: None,
        push_token: None,
        delivery_address: Some(address("1 Quay St")),
        language: Language::En,
        messages: MessagePreferences::default(),
    }
}

/// What [`Shop::place`] costs.
pub fn total() -> Money {
    eur(30_98)
}

pub fn reserved(order_id: OrderId) -> Event {
    StockReserved { order_id, expires_at: chrono::Utc::now() }.into()
}

pub fn short(order_id: OrderId) -> Event {
    StockRejected { order_id, rejection: Rejection::Shortages { lines: vec![] } }.into()
}

pub fn committed(order_id: OrderId) -> Event {
    StockCommitted { order_id }.into()
}

pub fn released(order_id: OrderId) -> Event {
    StockReleased { order_id, reason: CancelReason::Customer }.into()
}

pub fn restocked(order_id: OrderId) -> Event {
    StockRestocked { order_id, cause: RestockCause::Cancelled, lines: vec![] }.into()
}

pub fn authorized(order_id: OrderId) -> Event {
    PaymentAuthorized { order_id, payment_id: PaymentId(order_id.0), amount: total() }.into()
}

pub fn declined(order_id: OrderId) -> Event {
    let code = "card_declined".to_owned();
    PaymentDeclined { order_id, payment_id: PaymentId(order_id.0), code, retryable: false }.into()
}

pub fn captured(order_id: OrderId) -> Event {
    PaymentCaptured { order_id, payment_id: PaymentId(order_id.0), amount: total() }.into()
}

pub fn voided(order_id: OrderId) -> Event {
    PaymentVoided { order_id, payment_id: PaymentId(order_id.0), amount: total() }.into()
}

pub fn refunded(order_id: OrderId) -> Event {
    let (payment_id, refund_id) = (PaymentId(order_id.0), RefundId::new());
    PaymentRefunded { order_id, payment_id, refund_id, amount: total(), remaining: eur(0) }.into()
}

pub fn parcel_created(order_id: OrderId) -> Event {
    let lines = quadrille_testing::lines(&[("TEA", 2), ("MUG", 1)]);
    ShipmentCreated { order_id, shipment_id: ShipmentId(order_id.0), lines }.into()
}

pub fn dispatched(order_id: OrderId) -> Event {
    let (carrier, tracking_number) = ("An Post".parse().unwrap(), "IE1".parse().unwrap());
    ShipmentDispatched { order_id, shipment_id: ShipmentId(order_id.0), carrier, tracking_number }.into()
}

pub fn delivered(order_id: OrderId) -> Event {
    ShipmentDelivered { order_id, shipment_id: ShipmentId(order_id.0) }.into()
}
