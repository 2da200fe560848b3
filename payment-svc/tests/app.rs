//! The whole service on real PostgreSQL and real Kafka, with the real sandbox gateway: events in, money moved, events out.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use std::time::Duration;

use payment_svc::{App, Config};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    message::{Header, Headers, Message as _, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use sandbox_gateway::webhooks::WebhookConfig;
use service_kit::{
    config::Reader,
    testing::{TestDb, eventually, kafka_bootstrap, unique},
};
use shared_events::{Event, Topic};
use shop::{Order, record, sandbox::Sandbox};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);

async fn make_topics() {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka_bootstrap()).create().unwrap();
    let topics = Topic::ALL.iter().map(|topic| NewTopic::new(topic.name(), 2, TopicReplication::Fixed(1)));
    // Those that are there already are refused one by one, which is no failure here.
    let _each = admin.create_topics(&topics.collect::<Vec<_>>(), &AdminOptions::new()).await.unwrap();
}

async fn send(event: Event) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka_bootstrap())
        .set("partitioner", "murmur2_random")
        .create()
        .unwrap();
    let record = record(event);
    let add =
        |headers: OwnedHeaders, (key, value): &(String, String)| headers.insert(Header { key, value: Some(value) });
    let headers = record.headers.iter().fold(OwnedHeaders::new(), add);
    let value = record.value.clone().unwrap();
    let message = FutureRecord::to(&record.place.topic).key(&record.key).payload(&value).headers(headers);
    producer.send(message, PATIENCE).await.unwrap();
}

/// The sandbox has to know where the service will listen before the service knows where the sandbox does.
fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Reads `payments.v1` from its beginning, independently of the service, until the order's payment said this.
async fn said_in_kafka(order: &Order, event_type: &str) {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka_bootstrap())
        .set("group.id", unique("reader"))
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[Topic::Payments.name()]).unwrap();
    let key = order.id.to_string();
    let read = async {
        loop {
            let message = consumer.recv().await.unwrap();
            let is_type =
                |header: Header<'_, &[u8]>| header.key == "ce_type" && header.value == Some(event_type.as_bytes());
            if message.key() == Some(key.as_bytes()) && message.headers().unwrap().iter().any(is_type) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap();
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
    let config = Reader::from_pairs([
        ("HTTP_ADDR", at.to_string().as_str()),
        ("PAYMENT_WEBHOOK_SECRET", "whsec_1"),
        ("DATABASE_URL", &db.url),
        ("KAFKA_BOOTSTRAP_SERVERS", &kafka_bootstrap()),
        ("PAYMENT_GATEWAY_URL", sandbox.url()),
        ("PAYMENT_GATEWAY_KEY", "sk_test_1"),
    ]);
    let app = App::build(config.whole(Config::read).unwrap()).await.unwrap();
    let base = format!("http://127.0.0.1:{}", app.port());
    let stop = CancellationToken::new();
    let running = tokio::spawn(app.run_until(stop.clone()));
    let ready = || async { reqwest::get(format!("{base}/readyz")).await.is_ok_and(|answer| answer.status() == 200) };
    eventually("it is ready", PATIENCE, ready).await;

    let secured = Order::new("pm_card_authenticationRequired");
    send(secured.reserved()).await;
    send(secured.placed()).await;
    said_in_kafka(&secured, "payment.action_required.v1").await;
    let intent = sandbox.intent(&secured).await;
    sandbox.faults(serde_json::json!({"webhooks": {"duplicate": true, "reorder": true}})).await;
    sandbox.authenticate(&intent, "succeed").await;
    said_in_kafka(&secured, "payment.authorized.v1").await;

    let (paid, undone) = (Order::new("pm_card_visa"), Order::new("pm_card_visa"));
    for order in [&paid, &undone] {
        send(order.reserved()).await;
        send(order.placed()).await;
        said_in_kafka(order, "payment.authorized.v1").await;
    }
    send(paid.confirmed()).await;
    send(undone.released()).await;
    said_in_kafka(&paid, "payment.captured.v1").await;
    said_in_kafka(&undone, "payment.voided.v1").await;
    assert_eq!(sandbox.journal(&paid).await.len(), 2);
    assert_eq!(sandbox.journal(&undone).await.len(), 2);

    stop.cancel();
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
}
