//! One order is one trace, through all services, whatever becomes of it: a collector of the test's own is told every hop, once,
//! with its waits, and the spans explain where the time has gone.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod running;
mod spans;

use std::time::{Duration, SystemTime};

use diesel_async::SimpleAsyncConnection;
use quadrille::api::{OrderDraft, text};
use quadrille::service::Service;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use reqwest::Method;
use running::{PATIENCE, Running};
use serde_json::{Value, json};
use service_kit::testing::eventually;
use service_kit::{dead_letters, pool};
use spans::{Collector, Span, Trace, hops};

/// A client that is in a trace itself, and sends all of an order's requests in it.
struct Client<'a> {
    running: &'a Running,
    trace: String,
    span: String,
}

impl<'a> Client<'a> {
    fn new(running: &'a Running) -> Self {
        let trace = format!("{:032x}", rand::random::<u128>() | 1);
        Self { running, trace, span: format!("{:016x}", rand::random::<u64>() | 1) }
    }

    async fn post(&self, service: Service, path: &str, body: &Value) -> Value {
        let request = self.running.shop.api.request(Method::POST, service, path).await.unwrap();
        let traceparent = format!("00-{}-{}-01", self.trace, self.span);
        let answer = request.header("traceparent", traceparent).json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path} was answered {}", answer.status());
        answer.json().await.unwrap_or_default()
    }

    async fn place(&self, payment_method: &str) -> String {
        let draft = OrderDraft { payment_method, customer: "c-traces", ..OrderDraft::default() };
        let placed = self.post(Service::OrderSvc, "/api/v1/orders", &draft.body()).await;
        text(&placed, "id").unwrap()
    }

    /// Until all mails of the order are sent.
    async fn mailed(&self, order: &str, mails: usize) {
        let sent = async || {
            let all = self.running.notifications(order).await;
            all.len() == mails && all.iter().all(|mail| mail["status"] != "queued")
        };
        eventually("its mails are sent", PATIENCE, sent).await;
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos()).unwrap()
}

/// A story's trace, and the hops that it must have.
struct Told {
    trace: String,
    client: String,
    story: &'static str,
    hops: &'static str,
}

impl Told {
    fn check(&self, all: &[Span]) -> Trace {
        let trace = Trace::of(all, &self.trace);
        assert_eq!(trace.faults(&self.client), [""; 0], "{}", self.story);
        let expected: Vec<_> = self.hops.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(trace.hops(), expected, "{}", self.story);
        assert_eq!(trace.lacking_waits(), [""; 0], "{}", self.story);
        each_is_in_one_batch(all, &trace);
        trace
    }
}

/// A lane's batch has a trace of its own, with a link to each of its events.
fn each_is_in_one_batch(all: &[Span], trace: &Trace) {
    let is_alone = |span: &&Span| span.attribute("messaging.operation.name") != "replay";
    for event in trace.spans.iter().filter(|span| span.name.starts_with("process ")).filter(is_alone) {
        let batches = all.iter().filter(|span| span.name == format!("batch {}", event.service));
        let links = batches.flat_map(|batch| &batch.links).filter(|link| link.id == event.id);
        assert_eq!(links.count(), 1, "{}", event.hop());
    }
}

async fn placed(running: &Running) -> (Told, [u64; 3]) {
    let client = Client::new(running);
    let began = now();
    let order = client.place("pm_card_visa").await;
    let shipment = running.shop.api.shipment_of(&order).await.unwrap();
    running.until(&order, "confirmed").await;
    client.mailed(&order, 2).await;
    let step = |step| format!("/api/v1/shipments/{shipment}/{step}");
    let dispatched = now();
    let carrier = json!({"carrier": "An Post", "tracking_number": "CE123456789IE"});
    client.post(Service::StockSvc, &step("dispatch"), &carrier).await;
    running.until(&order, "shipped").await;
    client.mailed(&order, 3).await;
    let delivered = now();
    client.post(Service::StockSvc, &step("deliver"), &json!({})).await;
    running.until(&order, "completed").await;
    client.mailed(&order, 4).await;
    let told = Told { trace: client.trace, client: client.span, story: "placed", hops: hops::PLACED };
    (told, [began, dispatched, delivered])
}

async fn declined(running: &Running) -> Told {
    let client = Client::new(running);
    let order = client.place("pm_card_chargeDeclined").await;
    running.until(&order, "cancelled").await;
    client.mailed(&order, 2).await;
    Told { trace: client.trace, client: client.span, story: "declined", hops: hops::DECLINED }
}

async fn cancelled(running: &Running) -> Told {
    let client = Client::new(running);
    let order = client.place("pm_card_visa").await;
    running.shop.api.shipment_of(&order).await.unwrap();
    client.mailed(&order, 2).await;
    client.post(Service::OrderSvc, &format!("/api/v1/orders/{order}/cancel"), &json!({})).await;
    running.until(&order, "cancelled").await;
    client.mailed(&order, 4).await;
    Told { trace: client.trace, client: client.span, story: "cancelled", hops: hops::CANCELLED }
}

/// What the relay has sent comes a second time, as after a crash.
async fn redelivered(running: &Running) -> Told {
    let client = Client::new(running);
    let order = client.place("pm_card_visa").await;
    running.shop.api.shipment_of(&order).await.unwrap();
    client.mailed(&order, 2).await;
    let duplicates = async || {
        let metrics = running.shop.api.metrics(Service::StockSvc).await.unwrap();
        let known = |line: &&str| {
            line.starts_with("consumer_events_total{") && line.contains("duplicate") && line.contains("orders.v1")
        };
        metrics.lines().filter(known).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>()
    };
    let before = duplicates().await;
    send_again(running.at.kafka.clone(), order.clone()).await;
    eventually("stock-svc has it again", PATIENCE, async || duplicates().await > before).await;
    Told { trace: client.trace, client: client.span, story: "redelivered", hops: hops::REDELIVERED }
}

/// Reads the order's first event from its topic and sends it once more, as it is.
async fn send_again(bootstrap: String, order: String) {
    let client = || ClientConfig::new().set("bootstrap.servers", &bootstrap).set("group.id", "traces").clone();
    let reader = client().set("auto.offset.reset", "earliest").clone();
    let placed = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = reader.create().unwrap();
        consumer.subscribe(&["orders.v1"]).unwrap();
        loop {
            if let Some(Ok(message)) = consumer.poll(Duration::from_secs(1))
                && message.key() == Some(order.as_bytes())
            {
                return message.detach();
            }
        }
    })
    .await
    .unwrap();
    let producer: FutureProducer = client().create().unwrap();
    let record = FutureRecord::to("orders.v1").key(placed.key().unwrap()).payload(placed.payload().unwrap());
    let record = record.partition(placed.partition()).headers(placed.headers().unwrap().clone());
    producer.send(record, PATIENCE).await.unwrap();
}

/// stock-svc's database refuses the order for as long as it has a trigger; then somebody has the dead letter tried again.
async fn replayed(running: &Running) -> Told {
    let database = running.at.services["stock-svc"].database.clone().unwrap();
    let mut conn = pool::connect(&database).await.unwrap();
    let poison = "create function poison() returns trigger language plpgsql as
            $$ begin raise exception 'poison'; end $$;
        create trigger poison before insert on orders for each row execute function poison()";
    conn.batch_execute(poison).await.unwrap();
    let client = Client::new(running);
    let order = client.place("pm_card_visa").await;
    let told = || running.shop.api.metrics(Service::StockSvc);
    eventually("it is a dead letter", PATIENCE, async || told().await.unwrap().contains("dead_lettered")).await;
    let letter = dead_letters::list(&mut conn, 0, 1).await.unwrap().pop();
    conn.batch_execute("drop trigger poison on orders; drop function poison").await.unwrap();
    assert_eq!(dead_letters::replay(&mut conn, letter.unwrap().id).await.unwrap(), 1);
    running.shop.api.shipment_of(&order).await.unwrap();
    client.mailed(&order, 2).await;
    Told { trace: client.trace, client: client.span, story: "replayed", hops: hops::REPLAYED }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_order_is_one_trace_through_all_services_whatever_becomes_of_it() {
    let collector = Collector::start().await;
    let running = Running::start(&collector.settings()).await;
    let (placed, phases) = placed(&running).await;
    let declined = declined(&running).await;
    let cancelled = cancelled(&running).await;
    let redelivered = redelivered(&running).await;
    let replayed = replayed(&running).await;
    let mails: Vec<_> = std::fs::read_dir(&running.at.mails)
        .unwrap()
        .map(|mail| std::fs::read_to_string(mail.unwrap().path()).unwrap())
        .collect();
    // A program that stops sends its last spans.
    running.stop().await;
    let all = collector.spans().await;

    let trace = placed.check(&all);
    explains(&trace, phases);
    leads_back(&trace, &all, &mails);
    declined.check(&all);
    cancelled.check(&all);
    let trace = redelivered.check(&all);
    let sent = &trace.find("order-svc: send orders.v1 order.placed.v1").id;
    let batches = all.iter().filter(|span| span.name == "batch stock-svc");
    let again = batches.flat_map(|batch| &batch.links).filter(|link| {
        link.id == *sent && link.attributes.get("quadrille.outcome").is_some_and(|outcome| outcome == "duplicate")
    });
    assert_eq!(again.count(), 1, "the second delivery is in a batch, and not in the order's trace");
    let trace = replayed.check(&all);
    let outcome = |span: &Span| (span.attribute("quadrille.outcome").to_owned(), span.failed);
    let handled = trace.spans.iter().filter(|span| span.hop() == "stock-svc: process orders.v1 order.placed.v1");
    let handled: Vec<_> = handled.map(outcome).collect();
    assert_eq!(handled, [("dead_lettered".to_owned(), true), ("applied".to_owned(), false)]);
}

/// From each of the client's requests until the shop had done what followed, the spans tell of the whole time, but for a
/// twentieth at most.
fn explains(trace: &Trace, [placed, dispatched, delivered]: [u64; 3]) {
    let end = |hop: &str| trace.find(hop).until;
    let phases = [
        (placed, end("order-svc: process shipments.v1 shipment.created.v1")),
        (dispatched, end("order-svc: process shipments.v1 shipment.dispatched.v1")),
        (delivered, end("order-svc: process shipments.v1 shipment.delivered.v1")),
    ];
    let (mut whole, mut unexplained, mut gaps) = (0, 0, vec![]);
    for (from, until) in phases {
        let (missing, between) = trace.unexplained(from, until);
        whole += until - from;
        unexplained += missing;
        gaps.extend(between);
    }
    let share = unexplained as f64 / whole as f64;
    assert!(share < 0.05, "{unexplained} of {whole} ns are not explained: {gaps:#?}");
    eprintln!("{:.2} % of {} ms are not explained: {gaps:#?}", share * 100.0, whole / 1_000_000);
}

/// A mail carries the trace, and the span that sent it; a webhook's own trace has a link to the order's.
fn leads_back(trace: &Trace, all: &[Span], mails: &[String]) {
    let is_of_order = |id: &String| trace.spans.iter().any(|span| span.id == *id);
    let webhooks = all.iter().filter(|span| span.name.starts_with("webhook ") && span.service == "payment-svc");
    assert!(webhooks.filter(|span| span.links.iter().any(|link| is_of_order(&link.id))).count() > 0);
    let sent = trace.spans.iter().filter(|span| span.name == "mail send");
    for span in sent {
        let header = format!("X-Traceparent: 00-{}-{}-01", span.trace, span.id);
        assert_eq!(mails.iter().filter(|mail| mail.contains(&header)).count(), 1, "{header}");
    }
}
