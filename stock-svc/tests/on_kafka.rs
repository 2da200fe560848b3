//! The consumer's own lanes and timers around the reactions, on a real Kafka.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use common::*;
use futures_util::FutureExt;
use outbox_relay::{DeadLetters, Nudge};
use quadrille_testing::kafka;
use service_kit::config::KafkaConfig;
use service_kit::consumer::{Consumer, ConsumerConfig, Subscription};
use service_kit::testing::{eventually, kafka_bootstrap, unique};
use service_kit::timers;
use shared_events::{Event, OrderId};
use stock_svc::expiry::Expiry;
use stock_svc::reactions::StockReactions;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(40);

/// A topic that no other test has.
struct Orders {
    topic: String,
}

impl Orders {
    async fn over(partitions: i32) -> Self {
        Self { topic: kafka::topic("orders", partitions).await }
    }

    async fn say(&self, event: impl Into<Event>) {
        let mut record = record(event);
        record.place.topic.clone_from(&self.topic);
        kafka::send([record]).await;
    }
}

/// Hears the orders and ends holds as they fall due, for as long as `meanwhile` takes; then leaves the group in order,
/// a failed assertion or not, since a consumer that is only dropped waits for ever.
async fn hears(warehouse: &Warehouse, orders: &Orders, ttl: Duration, meanwhile: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let kafka = KafkaConfig { brokers: kafka_bootstrap().into(), group_instance_id: None };
    let config = ConsumerConfig::new(unique("stock"), &kafka);
    let reactions = Arc::new(StockReactions { reservation_ttl: ttl, nudge: Nudge::default() });
    let pool = warehouse.db.pool.clone();
    let heard = vec![Subscription::inbox(&orders.topic)];
    let consumer = Consumer::new(config, heard, pool.clone(), reactions, DeadLetters);
    let expiry = Expiry { nudge: Nudge::default() };
    let timers = tokio::spawn(timers::run(pool, consumer.handle(), expiry, stop.clone()));
    let consumer = tokio::spawn(consumer.run(stop.clone()));
    let went = AssertUnwindSafe(meanwhile).catch_unwind().await;
    stop.cancel();
    timers.await.unwrap();
    consumer.await.unwrap().unwrap();
    went.unwrap_or_else(|panic| resume_unwind(panic));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lanes_that_compete_for_the_last_units_hold_exactly_those() {
    let orders = Orders::over(6).await;
    let warehouse = Warehouse::with(&[("TEA", 10), ("MUG", 500)]).await;
    for n in 0..60 {
        let lines = [("TEA", 1), ("MUG", 1)];
        let turned = if n % 2 == 0 { lines } else { [lines[1], lines[0]] };
        orders.say(placed(OrderId::new(), &turned)).await;
    }
    let all_decided = eventually("every order is held or rejected", SOON, async || {
        let (on_hand, held) = warehouse.level("TEA").await;
        assert!(on_hand - held >= 0, "available is {}", on_hand - held);
        warehouse.count("orders where reservation is not null").await == 60
    });
    hears(&warehouse, &orders, TTL, all_decided).await;
    assert_eq!((warehouse.level("TEA").await, warehouse.level("MUG").await), ((10, 10), (500, 10)));
    assert_eq!(warehouse.count("dead_letters").await, 0);
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hold_that_nobody_confirms_expires_and_one_that_was_confirmed_meanwhile_does_not() {
    let orders = Orders::over(2).await;
    let warehouse = Warehouse::with(&[("TEA", 10)]).await;
    let (forgotten, bought) = (OrderId::new(), OrderId::new());
    for order in [forgotten, bought] {
        orders.say(placed(order, &[("TEA", 1)])).await;
    }
    orders.say(confirmed(bought)).await;
    // It starts after everything was said: a backlog that is heard before any timer may fire.
    hears(&warehouse, &orders, Duration::from_millis(1), async {
        eventually("the forgotten hold expires", SOON, async || {
            warehouse.said_of(forgotten).await == ["stock.reserved.v1", "stock.expired.v1"]
        })
        .await;
        eventually("the other one is firm", SOON, async || {
            warehouse.said_of(bought).await == ["stock.reserved.v1", "stock.committed.v1"]
        })
        .await;
    })
    .await;
    assert_eq!(warehouse.level("TEA").await, (9, 0));
    warehouse.books_balance().await;
}
