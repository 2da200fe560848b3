//! Dead letters of this service, tried with its own reactions.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use outbox_relay::DeadLetters;
use quadrille_testing::{Served, answer};
use reqwest::Method;
use serde_json::{Value, json};
use service_kit::config::KafkaConfig;
use service_kit::consumer::testing::CONSUMER;
use service_kit::consumer::{Consumer, ConsumerConfig, Outcome, Record};
use service_kit::dead_letters;
use service_kit::testing::{Running, eventually};
use shared_events::*;
use stock_svc::http::{AppState, routes};
use stock_svc::reactions::subscriptions;

/// The service behind its HTTP interface, with a consumer that is handed its events.
struct Desk {
    warehouse: Warehouse,
    desk: dead_letters::Desk,
    served: Served,
}

impl Desk {
    async fn open(stock: &[(&str, i64)]) -> Self {
        let warehouse = Warehouse::with(stock).await;
        let (pool, reactions) = (warehouse.db.pool.clone(), Arc::new(warehouse.reactions.clone()));
        let kafka = KafkaConfig { brokers: "127.0.0.1:1".to_owned().into(), group_instance_id: None };
        let config = ConsumerConfig::new(CONSUMER, &kafka);
        let desk = Consumer::new(config, subscriptions(), pool.clone(), reactions, DeadLetters).desk();
        let routes = routes(AppState::new(pool, warehouse.reactions.nudge.clone(), Duration::from_secs(60))).unwrap();
        let mounted = desk.clone();
        let served = Served::start("/api/v1/dead-letters", move |config| {
            mounted.mount(config);
            routes(config);
        });
        Self { warehouse, desk, served }
    }

    /// Hears an order of two tins without its total, and returns the letter's number and what it should have been.
    async fn hears_what_lacks_a_field(&self, order: OrderId) -> (i64, Record, Value) {
        let mut broken = record(placed(order, &[("TEA", 2)]));
        let whole: Value = serde_json::from_slice(broken.value.as_deref().unwrap()).unwrap();
        let mut lacking = whole.clone();
        lacking.as_object_mut().unwrap().remove("total");
        broken.value = Some(lacking.to_string().into_bytes());
        assert!(matches!(self.warehouse.hears_record(&broken).await, Outcome::DeadLettered(_)));
        (self.warehouse.db.row("select max(id) from dead_letters").await, broken, whole)
    }

    /// Works at jobs until it is dropped, as the consumer does.
    fn works(&self) -> Running<()> {
        let desk = self.desk.clone();
        Running::start(move |stop| async move { desk.work_at_jobs(&stop).await })
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.served.request(Method::POST, path).json(body)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_the_real_reaction_would_write_and_announce_and_leaves_nothing() {
    let desk = Desk::open(&[("TEA", 10)]).await;
    let order = OrderId::new();
    let (id, broken, whole) = desk.hears_what_lacks_a_field(order).await;
    let before = desk.warehouse.db.contents().await;
    let path = format!("/{id}/dry-run");

    let (_, fails) = desk.post(&path, &json!({})).await;
    assert_eq!(fails["outcome"], "fails");
    assert!(fails["why"].as_str().unwrap().contains("missing field `total`"), "{fails}");

    let (status, goes) = desk.post(&path, &json!({"payload": whole})).await;
    assert_eq!((status, &goes["outcome"]), (200, &json!("applied")), "{goes}");
    let rows = goes["rows"].as_array().unwrap();
    let of = |table: &str| rows.iter().find(|row| row["table"] == table).cloned().unwrap_or_default();
    assert_eq!(of("orders")["inserted"], 1, "{goes}");
    assert_eq!(of("timers")["inserted"], 1, "{goes}");
    assert_eq!(of("stock_levels")["updated"], 1, "{goes}");
    assert_eq!((&of("outbox")["inserted"], &of("outbox")["changes"]), (&json!(1), &json!([])), "told as an event");
    let level = &of("stock_levels")["changes"][0];
    assert_eq!((&level["before"]["held"], &level["after"]["held"]), (&json!(0), &json!(2)), "{level}");
    let held = of("orders")["changes"][0].clone();
    assert_eq!((&held["before"], &held["after"]["order_id"]), (&Value::Null, &json!(order)), "{held}");
    assert!(rows.iter().all(|table| table["table"] == "outbox" || table["all_shown"] == true), "{goes}");
    let [announced] = &goes["events"].as_array().unwrap()[..] else { panic!("{goes}") };
    assert_eq!((&announced["event_type"], &announced["topic"]), (&json!("stock.reserved.v1"), &json!("stock.v1")));
    assert_eq!(announced["key"], order.to_string());
    assert_eq!(announced["payload"]["value"]["order_id"], order.to_string());
    let causation = json!({"name": "ce_causationid", "value": broken.header("ce_id")});
    assert!(announced["headers"].as_array().unwrap().contains(&causation), "{announced}");

    assert_eq!(desk.warehouse.db.contents().await, before);
    assert_eq!((desk.warehouse.level("TEA").await, desk.warehouse.said().await.len()), ((10, 0), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_edited_is_handled_once_as_it_should_have_been() {
    let desk = Desk::open(&[("TEA", 10)]).await;
    let order = OrderId::new();
    let (id, broken, whole) = desk.hears_what_lacks_a_field(order).await;
    let path = format!("/{id}/edit");
    let (status, problem) = desk.post(&path, &json!({"payload": {"order_id": order}, "reason": "a try"})).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("payload")), "{problem}");
    assert!(problem["errors"][0]["message"].as_str().unwrap().contains("missing field"), "{problem}");

    let reason = "the producer left the total out";
    let (status, letter) = desk.post(&path, &json!({"payload": whole, "reason": reason})).await;
    assert_eq!((status, &letter["edits"]), (200, &json!(1)), "{letter}");
    let job = json!({"action": "replay", "ids": [id], "reason": reason});
    let (status, job) = desk.post("/jobs", &job).await;
    assert_eq!(status, 202, "{job}");
    let worker = desk.works();
    let job = format!("/jobs/{}", job["id"].as_str().unwrap());
    let done = async || desk.served.read(&job).await.1["state"] == "done";
    eventually("it is replayed", Duration::from_secs(20), done).await;
    worker.end().await;
    assert_eq!(desk.warehouse.level("TEA").await, (10, 2));
    assert_eq!(desk.warehouse.said_of(order).await, ["stock.reserved.v1"]);
    assert_eq!(desk.warehouse.hears_record(&broken).await, Outcome::Duplicate);
}
