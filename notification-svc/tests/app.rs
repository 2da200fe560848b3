//! The whole service, on real PostgreSQL and real Kafka: events in, messages and events out.

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
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const PATIENCE: Duration = Duration::from_secs(60);

fn mails_of(order: OrderId, folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(&order.to_string()) && name.ends_with(".eml")).collect()
}

/// One test, since two services of one group would share what is read.
#[tokio::test(flavor = "multi_thread")]
async fn facts_in_kafka_become_mails_in_a_folder_text_messages_over_http_and_events_in_kafka() {
    make_topics().await;
    let (mut shop, mails, order) = (Shop::new().await, tempfile::tempdir().unwrap(), OrderId::new());
    let twilio = MockServer::start().await;
    let path_of_all = path("/2010-04-01/Accounts/AC1/Messages.json");
    let taken = ResponseTemplate::new(201);
    Mock::given(method("POST")).and(path_of_all).respond_with(taken).mount(&twilio).await;
    let (folder, url) = (format!("file:{}", mails.path().display()), twilio.uri());
    let own = [
        ("MAIL_TRANSPORT", folder.as_str()),
        ("MAIL_FROM", "The Shop <shop@quadrille.example>"),
        ("TWILIO_URL", url.as_str()),
        ("TWILIO_ACCOUNT_SID", "AC1"),
        ("TWILIO_AUTH_TOKEN", "t"),
        ("TWILIO_FROM", "Shop"),
    ];
    let app = App::build(configured(&shop.db, &own, Config::read)).await.unwrap();
    let base = format!("http://127.0.0.1:{}", app.port());
    let running = Running::start(|stop| app.run_until(stop));
    eventually("it is ready", PATIENCE, async || {
        reqwest::get(format!("{base}/readyz")).await.is_ok_and(|answer| answer.status() == StatusCode::OK)
    })
    .await;
    let id: CustomerId = service_kit::testing::unique("c").parse().unwrap();
    send([shop.says(CustomerChanged { customer_id: id.clone(), ..profile(&["email", "sms"]) })]).await;
    let profiles = format!("profiles where customer_id = '{id}'");
    eventually("the profile is known", PATIENCE, async || shop.db.count(&profiles).await == 1).await;

    let of_them = placed(order);
    let of_them = OrderPlaced { customer: Customer { id, ..of_them.customer }, ..of_them };
    let (first, second, third) = (shop.says(of_them), shop.says(confirmed(order)), shop.says(dispatched(order)));
    send([third, first, second]).await;
    eventually("all mails are in the folder", PATIENCE, async || mails_of(order, mails.path()).len() == 3).await;
    eventually("all are marked", PATIENCE, async || {
        let url = format!("{base}/api/v1/notifications?order_id={order}&status=sent");
        let sent: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        sent["items"].as_array().is_some_and(|items| items.len() == 4)
    })
    .await;
    let asked = twilio.received_requests().await.unwrap();
    let texts: Vec<_> = asked.iter().map(|request| String::from_utf8_lossy(&request.body)).collect();
    assert!(texts.len() == 1 && texts[0].contains(&order.to_string()), "{texts:?}");
    // what others have said on the customers' topic may leave copies of dead letters, which nobody here has a topic for
    eventually("what it said was published", PATIENCE, async || {
        outbox(&shop.db).await.iter().all(|row| row.topic != Topic::Notifications.name())
    })
    .await;

    running.end().await.unwrap();
}
