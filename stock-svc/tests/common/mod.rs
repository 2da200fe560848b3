//! A warehouse on a database of its own, which hears events as the consumer would hand them over.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bytea, Text};
use diesel_async::RunQueryDsl;
use outbox_relay::Nudge;
use service_kit::consumer::testing::react;
use service_kit::consumer::{Outcome, ReactionError, Record};
use service_kit::testing::TestDb;
use service_kit::timers;
use shared_events::*;
use stock_svc::commands::{self, AdjustStock, CommandError, NewDetails};
use stock_svc::domain::{Delta, Description, OnHand, Price};
use stock_svc::expiry::Expiry;
use stock_svc::reactions::StockReactions;
use stock_svc::store::roots::EXPIRY;

/// How long holds last in tests; their timers are fired by hand.
pub const TTL: Duration = Duration::from_secs(15 * 60);

pub struct Warehouse {
    pub db: TestDb,
    pub reactions: StockReactions,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    headers: String,
    #[diesel(sql_type = Bytea)]
    payload: Vec<u8>,
}

#[derive(QueryableByName)]
struct Level {
    #[diesel(sql_type = BigInt)]
    on_hand: i64,
    #[diesel(sql_type = BigInt)]
    held: i64,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

struct Once;

impl SequenceCounter for Once {
    fn next_sequence(&mut self, _: Topic) -> i64 {
        1
    }
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
        sql_query("delete from outbox").execute(&mut warehouse.db.conn().await).await.unwrap();
        warehouse
    }

    /// Hears an event, which happened just now.
    pub async fn hears(&self, event: impl Into<Event>) -> Outcome {
        self.hears_record(&record(&event.into())).await
    }

    /// Hears an event as it stands in its topic.
    pub async fn hears_record(&self, record: &Record) -> Outcome {
        self.tries(record).await.expect("no failure that may pass")
    }

    /// Hears an event, or fails for now.
    pub async fn tries(&self, record: &Record) -> Result<Outcome, ReactionError> {
        react(&self.db.pool, &self.reactions, record).await
    }

    /// The hold's timer comes, as the kit fires it.
    pub async fn expires(&self, order_id: OrderId) {
        let (expiry, key) = (Expiry { nudge: Nudge::default() }, order_id.to_string());
        timers::fire_by_hand(&mut *self.db.conn().await, &expiry, EXPIRY, &[&key]).await.unwrap();
    }

    /// What was said since the warehouse was stocked, in order.
    pub async fn said(&self) -> Vec<Event> {
        let rows: Vec<Row> = sql_query("select headers::text as headers, payload from outbox order by id")
            .load(&mut self.db.conn().await)
            .await
            .unwrap();
        let decode = |row: Row| {
            let headers: Vec<(String, String)> = serde_json::from_str(&row.headers).unwrap();
            let kind = headers.into_iter().find(|(name, _)| name == header::TYPE).unwrap().1;
            Event::decode(&kind, &row.payload).unwrap()
        };
        rows.into_iter().map(decode).collect()
    }

    /// The types of what was said of one order, in order.
    pub async fn said_of(&self, order_id: OrderId) -> Vec<&'static str> {
        let said = self.said().await;
        said.iter().filter(|event| event.correlation() == Some(order_id.0)).map(Event::type_name).collect()
    }

    /// on_hand and held of a SKU, at one moment.
    pub async fn level(&self, sku: &str) -> (i64, i64) {
        let level: Level = sql_query("select on_hand, held from stock_levels where sku = $1")
            .bind::<Text, _>(sku)
            .get_result(&mut self.db.conn().await)
            .await
            .unwrap();
        (level.on_hand, level.held)
    }

    /// How many rows a query counts.
    pub async fn adjusts(&self, sku: &str, delta: i64, reason: &str) -> Result<(), CommandError> {
        let (delta, reason) = (Delta::try_from(delta).unwrap(), reason.parse().unwrap());
        let command = AdjustStock { sku: sku.parse().unwrap(), delta, reason, idempotency: None };
        commands::adjust_stock(&self.db.pool, &command, |_| Ok(vec![])).await.map(drop)
    }

    pub async fn count(&self, what: &str) -> i64 {
        let row: Number = sql_query(format!("select count(*) as number from {what}"))
            .get_result(&mut self.db.conn().await)
            .await
            .unwrap();
        row.number
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

/// An event as it stands in its topic.
pub fn record(event: &Event) -> Record {
    let metadata = EventMetadata { source: "/test", at: chrono::Utc::now(), causation_id: None, traceparent: None };
    let message = encode(&mut Once, &metadata, std::slice::from_ref(event)).unwrap().remove(0);
    Record::sent(message.topic.name(), message.key, message.headers, message.value)
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

pub fn eur(cents: i64) -> Money {
    Money::new(cents, Currency::EUR).unwrap()
}

pub fn placed(order_id: OrderId, lines: &[(&str, i64)]) -> OrderPlaced {
    let line = |(sku, quantity): &(&str, i64)| OrderLine {
        sku: sku.parse().unwrap(),
        name: "Earl Grey".parse().unwrap(),
        quantity: (*quantity).try_into().unwrap(),
        unit_price: eur(12_99),
    };
    OrderPlaced {
        order_id,
        customer: Customer {
            id: "c-1".parse().unwrap(),
            name: "Ann Lee".parse().unwrap(),
            email: "ann@example.com".parse().unwrap(),
        },
        delivery_address: Address {
            line1: "1 Quay St".parse().unwrap(),
            line2: None,
            city: "Cork".parse().unwrap(),
            postal_code: "T12".parse().unwrap(),
            country: "IE".to_owned().try_into().unwrap(),
        },
        lines: lines.iter().map(line).collect(),
        total: eur(12_99),
        payment_method: "pm_card_visa".parse().unwrap(),
        deadline: chrono::Utc::now() + chrono::TimeDelta::minutes(20),
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
