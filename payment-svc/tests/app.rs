//! The whole service on real PostgreSQL and real Kafka, with the real sandbox gateway: events in, money moved, events out.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use std::time::Duration;

use payment_svc::{App, Config};
use quadrille_testing::configured;
use quadrille_testing::kafka::{make_topics, send, until_published};
use sandbox_gateway::webhooks::WebhookConfig;
use service_kit::testing::{Running, TestDb, eventually};
use shared_events::Topic;
use shop::{Order, record, sandbox::Sandbox};

const PATIENCE: Duration = Duration::from_secs(60);

/// The sandbox has to know where the service will listen before the service knows where the sandbox does.
fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn until_said(order: &Order, event_type: &str) {
    until_published(Topic::Payments, &order.id.to_string(), event_type).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_move_money_at_the_gateway_and_what_happened_is_published() {
    make_topics().await;
    let at = free_address();
    let webhooks = WebhookConfig {
        url: format!("http://{at}/api/v1/payments/webhooks/stripe"),
        secret: "whsec_1".to_owned().into(),
    };
    let (db, sandbox) = (TestDb::new(&payment_svc::migrations()).await, Sandbox::telling(Some(webhooks)).await);
    let at = at.to_string();
    let own = [
        ("HTTP_ADDR", at.as_str()),
        ("PAYMENT_WEBHOOK_SECRET", "whsec_1"),
        ("PAYMENT_GATEWAY_URL", sandbox.url()),
        ("PAYMENT_GATEWAY_KEY", "sk_test_1"),
    ];
    let app = App::build(configured(&db, &own, Config::read)).await.unwrap();
    let base = format!("http://127.0.0.1:{}", app.port());
    let running = Running::start(|stop| app.run_until(stop));
    let ready = || async { reqwest::get(format!("{base}/readyz")).await.is_ok_and(|answer| answer.status() == 200) };
    eventually("it is ready", PATIENCE, ready).await;

    let secured = Order::new("pm_card_authenticationRequired");
    send([secured.reserved(), secured.placed()].map(record)).await;
    until_said(&secured, "payment.action_required.v1").await;
    let intent = sandbox.intent(&secured).await;
    sandbox.faults(serde_json::json!({"webhooks": {"duplicate": true, "reorder": true}})).await;
    sandbox.authenticate(&intent, "succeed").await;
    until_said(&secured, "payment.authorized.v1").await;

    let (paid, undone) = (Order::new("pm_card_visa"), Order::new("pm_card_visa"));
    for order in [&paid, &undone] {
        send([order.reserved(), order.placed()].map(record)).await;
        until_said(order, "payment.authorized.v1").await;
    }
    send([paid.confirmed(), undone.released()].map(record)).await;
    until_said(&paid, "payment.captured.v1").await;
    until_said(&undone, "payment.voided.v1").await;
    assert_eq!(sandbox.journal(&paid).await.len(), 2);
    assert_eq!(sandbox.journal(&undone).await.len(), 2);

    tokio::time::timeout(PATIENCE, running.end()).await.unwrap().unwrap();
}
