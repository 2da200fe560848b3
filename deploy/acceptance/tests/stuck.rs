//! Each thing that can keep orders, caused in a running shop: `quadrille stuck` and `quadrille order show` name it, and say what
//! mends it, before an order has waited ten seconds longer than it should.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail like tests")]

mod running;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use nix::sys::signal::Signal;
use quadrille::service::Service;
use quadrille::stuck::{Cause, Kind, Stuck};
use quadrille_acceptance::program;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use running::{PATIENCE, Running, TEA};
use serde_json::{Value, json};
use service_kit::pool;
use service_kit::testing::eventually;

/// An order is overdue when it has waited for five seconds, and named ten seconds later.
const NAMED: Duration = Duration::from_secs(15);

/// What a tool says of this shop.
async fn said(running: &Running, arguments: &[&str]) -> String {
    let mut tool = tokio::process::Command::new(program("quadrille").unwrap());
    tool.env_clear().args(arguments).arg("--data").arg(running.shop.data());
    String::from_utf8(tool.output().await.unwrap().stdout).unwrap()
}

async fn stuck(running: &Running) -> Stuck {
    let told = said(running, &["stuck", "--json"]).await;
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
}

/// Waits until both tools name this cause of the order, in these words.
async fn is_named(running: &Running, order: &str, kinds: &[Kind], words: &[&str]) -> Cause {
    let mut found = None;
    let what = format!("{kinds:?} is named: {words:?}");
    let named = async || {
        let show = ["order", "show", order];
        let (stuck, shown) = tokio::join!(stuck(running), said(running, &show));
        let shown = shown.split_once("STUCK").map(|(_, shown)| shown.to_owned()).unwrap_or_default();
        let has_words = |text: &str| words.iter().all(|word| text.contains(word));
        // a cause may be known before an order has waited too long for it
        let keeps_something = |cause: &Cause| cause.orders > 0 || cause.messages.is_some();
        let is_it = |cause: &Cause| kinds.contains(&cause.kind) && has_words(&cause.line()) && keeps_something(cause);
        found = stuck.causes.into_iter().find(is_it);
        found.is_some() && has_words(&shown)
    };
    until(&what, NAMED, named).await;
    let found = found.unwrap();
    assert!(!found.mend.is_empty());
    found
}

/// Like `eventually`, for a condition that keeps what it has found, or a connection.
async fn until(what: &str, deadline: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let end = tokio::time::Instant::now() + deadline;
    while !condition().await {
        assert!(tokio::time::Instant::now() < end, "{what}: not within {deadline:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the order goes on, and nothing of this kind is told any more.
async fn is_mended(running: &Running, order: &str, kind: Kind) {
    running.until(order, "confirmed").await;
    let gone = async || stuck(running).await.causes.iter().all(|cause| cause.kind != kind);
    eventually(&format!("{kind:?} is over"), PATIENCE, gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_keeps_an_order_is_named_by_both_tools_with_what_mends_it() {
    let running = Running::start("").await;
    let before = stuck(&running).await;
    assert!(before.causes.is_empty() && before.away.is_empty(), "a shop that is well: {before:?}");
    gateway(&running).await;
    a_forgotten_transaction(&running).await;
    a_consumer_that_is_stopped_and_a_dead_letter(&running).await;
    broker(&running).await;
    let runner: Value =
        running.client.get(running.at.audit.replace("/audit", "/stuck")).send().await.unwrap().json().await.unwrap();
    assert_eq!(runner["away"], json!([]), "the runner tells the same: {runner}");
    running.stop().await;
}

/// A shop in which this test runs order-svc and notification-svc itself, as they may not be run.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_away_and_an_outbox_without_a_relay_are_named_too() {
    let mut running = Running::start("").await;
    running.shop.stop().await.unwrap();
    running.again(&["--without", "order-svc", "--without", "notification-svc", "--without", "outbox-relay"]).await;
    mail_server_and_relay(&running).await;
    running.stop().await;
}

async fn gateway(running: &Running) {
    let fault = async |rate: f64| {
        let faults = running.client.put(running.url("sandbox-gateway", "/sandbox/faults"));
        faults.json(&json!({"failure_rate": rate})).send().await.unwrap().error_for_status().unwrap();
    };
    fault(1.0).await;
    let order = running.place(TEA).await;
    let cause = is_named(running, &order, &[Kind::Gateway], &["gateway answers 500 since ", "1 order waits"]).await;
    assert!(cause.first.iter().any(|named| named.to_string() == order), "{cause:?}");
    fault(0.0).await;
    is_mended(running, &order, Kind::Gateway).await;

    let gateway = running.shop.process("sandbox-gateway").unwrap();
    assert!(gateway.signal(Signal::SIGSTOP));
    let order = running.place(TEA).await;
    is_named(running, &order, &[Kind::Gateway], &["gateway", "1 order waits"]).await;
    assert!(gateway.signal(Signal::SIGCONT));
    is_mended(running, &order, Kind::Gateway).await;
}

/// Somebody has changed a product by hand, and not committed it.
async fn a_forgotten_transaction(running: &Running) {
    let url = running.at.services["stock-svc"].database.clone().unwrap();
    let mut person = pool::connect_for_long(&url).await.unwrap();
    person.batch_execute("set application_name = 'a psql'; set idle_in_transaction_session_timeout = 0").await.unwrap();
    person
        .batch_execute(&format!("begin; update stock_levels set on_hand = on_hand where sku = '{TEA}'"))
        .await
        .unwrap();
    let order = running.place(TEA).await;
    let words = [
        "a psql)",
        " idle in transaction in a transaction of ",
        "update stock_levels set on_hand = on_hand where sku = ?",
    ];
    // it is a lock while somebody waits for it, which stock-svc does in turns
    let open = is_named(running, &order, &[Kind::Lock, Kind::OpenTransaction], &words).await;
    let pid = number_after(&open.what, "backend ");
    assert!(open.mend.contains(&format!("select pg_terminate_backend({pid})")), "{}", open.mend);
    // what is proposed is what mends it
    let mut operator = pool::connect(&url).await.unwrap();
    operator.batch_execute(&format!("select pg_terminate_backend({pid})")).await.unwrap();
    is_mended(running, &order, Kind::OpenTransaction).await;
}

/// stock-svc stands still while somebody sends what order-svc can't read.
async fn a_consumer_that_is_stopped_and_a_dead_letter(running: &Running) {
    let service = running.shop.process("stock-svc").unwrap();
    assert!(service.signal(Signal::SIGSTOP));
    let order = running.place(TEA).await;
    is_named(running, &order, &[Kind::Stopped], &["stock-svc ", "1 order waits"]).await;
    poison(running, &order).await;
    let dead = "select count(*) from dead_letters";
    let url = running.at.services["order-svc"].database.clone().unwrap();
    let mut conn = pool::connect(&url).await.unwrap();
    until("it is a dead letter", PATIENCE, async || {
        let counted: Vec<i64> = service_kit::testing::rows(&mut conn, dead).await;
        counted == [1]
    })
    .await;
    assert!(service.signal(Signal::SIGCONT));
    let words = ["order-svc could not handle stock.reserved.v1 (dead letter ", "1 order waits"];
    let cause = is_named(running, &order, &[Kind::DeadLetter], &words).await;
    let id = number_after(&cause.what, "dead letter ");
    assert!(cause.mend.ends_with(&format!("quadrille dead-letters replay order-svc {id}")), "{}", cause.mend);
    // a replay would fail again, so what nobody can read is dropped by each service, and what waits behind it is replayed
    until("what waits behind it is replayed", PATIENCE, async || {
        let mut dead = stuck(running).await.causes;
        dead.retain(|cause| cause.kind == Kind::DeadLetter);
        for cause in &dead {
            let action = if cause.what.ends_with("behind one that was dropped") { "replay" } else { "discard" };
            let (service, id) = (cause.service.unwrap().name(), number_after(&cause.what, "dead letter "));
            said(running, &["dead-letters", action, service, &id]).await;
        }
        dead.is_empty()
    })
    .await;
    is_mended(running, &order, Kind::DeadLetter).await;
}

fn number_after(text: &str, word: &str) -> String {
    text.split_once(word).unwrap().1.chars().take_while(char::is_ascii_digit).collect()
}

/// An event of this order that nobody can read.
async fn poison(running: &Running, order: &str) {
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", &running.at.kafka).create().unwrap();
    let header = |key, value| Header { key, value: Some(value) };
    let id = uuid::Uuid::now_v7().to_string();
    let headers = OwnedHeaders::new()
        .insert(header("ce_specversion", "1.0"))
        .insert(header("ce_id", &id))
        .insert(header("ce_type", "stock.reserved.v1"))
        .insert(header("ce_source", "/stock-svc"))
        .insert(header("ce_time", "2026-11-30T00:00:00Z"))
        .insert(header("ce_subject", order))
        .insert(header("ce_sequence", "00000000000000000001"));
    let record = FutureRecord::to("stock.v1").key(order).payload("no JSON").headers(headers);
    producer.send(record, PATIENCE).await.unwrap();
}

async fn broker(running: &Running) {
    let broker = running.shop.process("kafka").unwrap();
    assert!(broker.signal(Signal::SIGSTOP));
    let order = running.place(TEA).await;
    is_named(running, &order, &[Kind::Broker], &["Kafka at ", " does not answer: "]).await;
    assert!(broker.signal(Signal::SIGCONT));
    is_mended(running, &order, Kind::Broker).await;
}

/// A service that this test runs itself, with settings of its own.
struct Own(Child);

impl Own {
    /// Waits until it is ready.
    async fn start(running: &Running, service: Service, settings: &[(&str, &str)]) -> Self {
        let (name, api) = (service.name(), &running.shop.api);
        let at = &running.at.services[name];
        let log = std::fs::File::create(running.at.logs.join(format!("own-{name}.log"))).unwrap();
        let mut command = Command::new(program("quadrille").unwrap());
        command.args(["run", name]).env_clear().stdout(Stdio::null()).stderr(log);
        command
            .env("HTTP_ADDR", at.url.trim_start_matches("http://"))
            .env("DATABASE_URL", at.database.clone().unwrap());
        command
            .env("KAFKA_BOOTSTRAP_SERVERS", &running.at.kafka)
            .env("AUTH_ISSUER", &running.at.services["sandbox-issuer"].url)
            .env("GUEST_ORDERS", "off");
        let own = Self(command.envs(settings.iter().copied()).spawn().unwrap());
        eventually(name, PATIENCE, async || api.must_be_ready(service).await.is_ok()).await;
        own
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

async fn mail_server_and_relay(running: &Running) {
    let mail = [("MAIL_TRANSPORT", "smtp://127.0.0.1:1"), ("MAIL_FROM", "shop@example.com")];
    let _notifications = Own::start(running, Service::NotificationSvc, &mail).await;
    let orders = Own::start(running, Service::OrderSvc, &[("RELAY", "embedded")]).await;
    let order = running.place(TEA).await;
    let words = ["mail server takes none (server_away: ", "wait"];
    let cause = is_named(running, &order, &[Kind::MessageServer], &words).await;
    assert!(cause.messages.is_some_and(|messages| messages > 0) && cause.orders == 0, "{cause:?}");
    running.until(&order, "confirmed").await;

    drop(orders);
    let orders = Own::start(running, Service::OrderSvc, &[("RELAY", "external")]).await;
    let order = running.place(TEA).await;
    let words = ["no relay publishes the outbox of order-svc: events of ", "1 order waits"];
    let cause = is_named(running, &order, &[Kind::NoRelay], &words).await;
    assert!(cause.mend.contains("RELAY=embedded"), "{}", cause.mend);
    drop(orders);
    let _orders = Own::start(running, Service::OrderSvc, &[("RELAY", "embedded")]).await;
    is_mended(running, &order, Kind::NoRelay).await;
}
