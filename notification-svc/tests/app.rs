//! The whole service, on real PostgreSQL and real Kafka: events in, a mail and an event out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::*;
use notification_svc::{App, Config};
use quadrille_testing::configured;
use quadrille_testing::kafka::{make_topics, send};
use reqwest::StatusCode;
use serde_json::Value;
use service_kit::testing::{Running, eventually};
use shared_events::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn mails_of(order: OrderId, folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(&order.to_string()) && name.ends_with(".eml")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_in_kafka_become_mails_in_a_folder_and_events_in_kafka() {
    make_topics().await;
    let (mut shop, mails, order) = (Shop::new().await, tempfile::tempdir().unwrap(), OrderId::new());
    let folder = format!("file:{}", mails.path().display());
    let own = [("MAIL_TRANSPORT", folder.as_str()), ("MAIL_FROM", "The Shop <shop@quadrille.example>")];
    let app = App::build(configured(&shop.db, &own, Config::read)).await.unwrap();
    let base = format!("http://127.0.0.1:{}", app.port());
    let running = Running::start(|stop| app.run_until(stop));
    eventually("it is ready", PATIENCE, async || {
        reqwest::get(format!("{base}/readyz")).await.is_ok_and(|answer| answer.status() == StatusCode::OK)
    })
    .await;

    let (first, second, third) = (shop.says(placed(order)), shop.says(confirmed(order)), shop.says(dispatched(order)));
    send([third, first, second]).await;
    eventually("all mails are in the folder", PATIENCE, async || mails_of(order, mails.path()).len() == 3).await;
    eventually("all are marked", PATIENCE, async || {
        let url = format!("{base}/api/v1/notifications?order_id={order}&status=sent");
        let sent: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        sent["items"].as_array().is_some_and(|items| items.len() == 3)
    })
    .await;
    eventually("what it said was published", PATIENCE, async || outbox(&shop.db).await.is_empty()).await;

    running.end().await.unwrap();
}
