//! The whole service, on real PostgreSQL and real Kafka: events in, a mail and an event out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::*;
use notification_svc::{App, Config};
use outbox_relay::NewRow;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use reqwest::StatusCode;
use serde_json::Value;
use service_kit::config::Reader;
use service_kit::consumer::Record;
use service_kit::testing::{eventually, kafka_bootstrap};
use shared_events::*;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);

async fn make_topics() {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka_bootstrap()).create().unwrap();
    let topics: Vec<NewTopic> =
        Topic::ALL.iter().map(|topic| NewTopic::new(topic.name(), 2, TopicReplication::Fixed(1))).collect();
    // Those that are there already are refused one by one, which is no failure here.
    let _each = admin.create_topics(&topics, &AdminOptions::new()).await.unwrap();
}

/// Sends a record to Kafka by the service's own relay, which publishes whatever is in the outbox.
async fn publish(shop: &Shop, record: Record) {
    let row = NewRow {
        event_id: record.header(header::ID).unwrap().parse().unwrap(),
        topic: record.place.topic,
        key: record.key,
        headers: record.headers,
        payload: record.value.unwrap(),
    };
    outbox_relay::append(&mut *shop.db.conn().await, row).await.unwrap();
}

fn mails_of(order: OrderId, folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(&order.to_string()) && name.ends_with(".eml")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_in_kafka_become_mails_in_a_folder_and_events_in_kafka() {
    make_topics().await;
    let (mut shop, mails, order) = (Shop::new().await, tempfile::tempdir().unwrap(), OrderId::new());
    let config = Reader::from_pairs([
        ("HTTP_ADDR", "127.0.0.1:0"),
        ("DATABASE_URL", shop.db.url.as_str()),
        ("KAFKA_BOOTSTRAP_SERVERS", &kafka_bootstrap()),
        ("MAIL_TRANSPORT", &format!("file:{}", mails.path().display())),
        ("MAIL_FROM", "The Shop <shop@quadrille.example>"),
    ]);
    let app = App::build(config.whole(Config::read).unwrap()).await.unwrap();
    let base = format!("http://127.0.0.1:{}", app.port());
    let stop = CancellationToken::new();
    let running = tokio::spawn(app.run_until(stop.clone()));
    eventually("it is ready", PATIENCE, async || {
        reqwest::get(format!("{base}/readyz")).await.is_ok_and(|answer| answer.status() == StatusCode::OK)
    })
    .await;

    let (first, second, third) = (shop.says(placed(order)), shop.says(confirmed(order)), shop.says(dispatched(order)));
    publish(&shop, third).await;
    publish(&shop, first).await;
    publish(&shop, second).await;
    eventually("all mails are in the folder", PATIENCE, async || mails_of(order, mails.path()).len() == 3).await;
    eventually("all are marked", PATIENCE, async || {
        let url = format!("{base}/api/v1/notifications?order_id={order}&status=sent");
        let sent: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        sent["items"].as_array().is_some_and(|items| items.len() == 3)
    })
    .await;
    eventually("what it said was published", PATIENCE, async || outbox(&mut *shop.db.conn().await).await.is_empty())
        .await;

    stop.cancel();
    running.await.unwrap().unwrap();
}
