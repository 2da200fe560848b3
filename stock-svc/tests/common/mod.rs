//! A warehouse on a database of its own, which hears events as the consumer would hand them over.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::time::Duration;

use outbox_relay::Nudge;
use quadrille_testing::{OutboxRow, outbox};
pub use quadrille_testing::{eur, placed, record};
use service_kit::consumer::testing::react;
use service_kit::consumer::{Outcome, ReactionError, Reactions, Record};
use service_kit::testing::TestDb;
use service_kit::timers;
use shared_events::*;
use stock_svc::commands::{self, AdjustStock, CommandError, NewDetails, Step, move_shipment};
use stock_svc::domain::{Delta, Description, OnHand, Price, Shipment};
use stock_svc::expiry::Expiry;
use stock_svc::reactions::StockReactions;
use stock_svc::store::{roots::EXPIRY, shipments};

/// How long holds last in tests; their timers are fired by hand.
pub const TTL: Duration = Duration::from_secs(15 * 60);

pub struct Warehouse {
    pub db: TestDb,
    pub reactions: StockReactions,
}

impl Warehouse {
    /// With nothing on its shelves.
    pub async fn empty() -> Self {
        let db = TestDb::new(&stock_svc::migrations()).await;
        Self { db, reactions: StockReactions { reservation_ttl: TTL, nudge: Nudge::default() } }
    }

    /// With these SKUs on its shelves. What listing them announced is taken off the outbox.
    pub async fn with(stock: &[(&str, i64)]) -> Self {
        let warehouse = Self::empty().await;
        for (sku, on_hand) in stock {
            let on_hand = OnHand::try_from(*on_hand).unwrap();
            commands::add_product(&warehouse.db.pool, sku.parse().unwrap(), tea(), on_hand).await.unwrap();
        }
        warehouse.db.run("delete from outbox").await;
        warehouse
    }

    /// Hears an event, which happened just now.
    pub async fn hears(&self, event: impl Into<Event>) -> Outcome {
        self.hears_record(&record(event)).await
    }

    /// Hears an event as it stands in its topic.
    pub async fn hears_record(&self, record: &Record) -> Outcome {
        self.tries(record).await.expect("no failure that may pass")
    }

    /// Hears an event, or fails for now.
    pub async fn tries(&self, record: &Record) -> Result<Outcome, ReactionError> {
        let outcome = react(&self.db.pool, &self.reactions, record).await?;
        self.reactions.committed(); // as a lane does
        Ok(outcome)
    }

    /// The hold's timer comes, as the kit fires it.
    pub async fn expires(&self, order_id: OrderId) {
        let (expiry, key) = (Expiry { nudge: self.reactions.nudge.clone() }, order_id.to_string());
        timers::fire_by_hand(&mut *self.db.conn().await, &expiry, EXPIRY, &[&key]).await.unwrap();
        self.reactions.committed(); // as the kit does
    }

    /// What was said since the warehouse was stocked, in order.
    pub async fn said(&self) -> Vec<Event> {
        outbox(&self.db).await.iter().map(OutboxRow::event).collect()
    }

    /// The types of what was said of one order, in order.
    pub async fn said_of(&self, order_id: OrderId) -> Vec<&'static str> {
        let said = self.said().await;
        said.iter().filter(|event| event.correlation() == Some(order_id.0)).map(Event::type_name).collect()
    }

    /// on_hand and held of a SKU, at one moment.
    pub async fn level(&self, sku: &str) -> (i64, i64) {
        self.db.row(&format!("select on_hand, held from stock_levels where sku = '{sku}'")).await
    }

    pub async fn adjusts(&self, sku: &str, delta: i64, reason: &str) -> Result<(), CommandError> {
        let (delta, reason) = (Delta::try_from(delta).unwrap(), reason.parse().unwrap());
        let command = AdjustStock { sku: sku.parse().unwrap(), delta, reason, idempotency: None };
        commands::adjust_stock(&self.db.pool, &command, |_| Ok(vec![])).await.map(drop)
    }

    pub async fn count(&self, what: &str) -> i64 {
        self.db.count(what).await
    }

    /// Held, firm and paid for: with a shipment.
    pub async fn paid(&self, lines: &[(&str, i64)]) -> OrderId {
        let order = OrderId::new();
        self.hears(placed(order, lines)).await;
        self.hears(confirmed(order)).await;
        self.hears(captured(order)).await;
        order
    }

    /// The order's first shipment.
    pub async fn shipment_of(&self, order_id: OrderId) -> ShipmentId {
        shipments::of_orders(&*self.db.conn().await, &[order_id.0]).await.unwrap()[0].1.id
    }

    pub async fn moves(&self, shipment: ShipmentId, step: Step) -> Result<Vec<(OrderId, Shipment)>, CommandError> {
        move_shipment(&self.db.pool, shipment, step).await
    }

    /// The checker's fourth rule: for each SKU the ledger's sum is on hand, and live holds are what is held.
    pub async fn books_balance(&self) {
        let wrong = "stock_levels s where s.on_hand <> coalesce((select sum(quantity) from movements m
                where m.sku = s.sku), 0)
            or s.held <> coalesce((select sum((line ->> 'quantity')::bigint) from orders o,
                jsonb_array_elements(o.lines) line where o.reservation = 'held' and line ->> 'sku' = s.sku), 0)";
        assert_eq!(self.count(wrong).await, 0, "books that don't balance");
        assert_eq!(
            self.count("orders where reservation = 'held'").await,
            self.count("timers").await,
            "a timer for each hold"
        );
    }
}

pub fn dispatched() -> Step {
    Step::Dispatch { carrier: "An Post".parse().unwrap(), tracking_number: "AP1".parse().unwrap() }
}

pub fn tea() -> NewDetails {
    NewDetails {
        name: "Earl Grey".parse().unwrap(),
        brand: None,
        description: Description::default(),
        category: None,
        price: Price::try_from(eur(12_99)).unwrap(),
        low_stock_mark: None,
    }
}

pub fn confirmed(order_id: OrderId) -> OrderConfirmed {
    OrderConfirmed { order_id }
}

pub fn cancel_requested(order_id: OrderId) -> OrderCancelRequested {
    OrderCancelRequested { order_id, reason: CancelReason::Customer }
}

pub fn captured(order_id: OrderId) -> PaymentCaptured {
    PaymentCaptured { order_id, payment_id: PaymentId::new(), amount: eur(12_99) }
}

pub fn declined(order_id: OrderId, retryable: bool) -> PaymentDeclined {
    PaymentDeclined { order_id, payment_id: PaymentId::new(), code: "card_declined".to_owned(), retryable }
}
