//! How fast the relay drains an outbox, beside what limits it: a producer that sends the same rows from memory, and the
//! plainest SQL that reads and deletes them.
//!
//! Takes turns between the arms, so that whatever else the machine does hits all of them, and prints medians. PostgreSQL
//! and Kafka are those of `TEST_DATABASE_URL` and `TEST_KAFKA_BOOTSTRAP` (`with-servers --durable --keep FILE` starts them);
//! `PG_PID` and `KAFKA_PID` have their CPU time told as well, `BATCH` is how many rows the relay reads at once.
//!
//! `cargo run --release -p outbox-relay --example drain -- [ROWS [ROUNDS [ARM...]]]`
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement for people, which ends where anything fails"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection;
use outbox_relay::{KafkaPublisher, NullPublisher, OutboxRow, Publisher, Relay, RelayConfig, Report};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use secrecy::SecretString;
use service_kit::testing::{TestDb, kafka_bootstrap, unique};
use tokio_util::sync::CancellationToken;

const ARMS: [&str; 5] = ["raw", "relay", "archive", "null", "sql"];

/// Rows like order-svc's `order.placed`: 12 headers of 530 bytes, 630 bytes of payload, one in four of a key seen before.
const FILL: &str = r#"insert into outbox (event_id, topic, key, headers, payload)
select e, topic, k, json_build_array(
    json_build_array('ce_specversion', '1.0'), json_build_array('ce_id', e), json_build_array('ce_source', '/order-svc'),
    json_build_array('ce_type', 'order.placed.v1'), json_build_array('ce_time', '2026-07-14T09:30:00.000001Z'),
    json_build_array('ce_subject', k), json_build_array('ce_sequence', '00000000000000000001'),
    json_build_array('ce_correlationid', k), json_build_array('ce_causationid', e),
    json_build_array('ce_dataschema', 'urn:quadrille:event:order.placed.v1'),
    json_build_array('ce_traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'),
    json_build_array('content-type', 'application/json')),
    convert_to('{"customer":{"email":"ann' || n || '@example.com","id":"c-' || n || '","name":"Ann Lee"},"deadline":"2026-07-14T09:50:00Z",'
    || '"delivery_address":{"city":"Cork","country":"IE","line1":"1 Quay St","line2":null,"postal_code":"T12"},"lines":['
    || '{"name":"Earl Grey, 250 g","quantity":2,"sku":"TEA-EARL-GREY-250","unit_price":{"amount":1299,"currency":"EUR"}},'
    || '{"name":"Assam, 500 g","quantity":1,"sku":"TEA-ASSAM-500","unit_price":{"amount":2199,"currency":"EUR"}}],"order_id":"' || k
    || '","payment_method":"pm_card_visa","total":{"amount":4797,"currency":"EUR"}}', 'UTF8')
from (select 'TOPIC' as topic, gen_random_uuid() as e, md5((n - n % 4)::text)::uuid::text as k, n from generate_series(FROM, TO) as n) as rows"#;

struct Bench {
    db: TestDb,
    topic: String,
    rows: usize,
    memory: Vec<OutboxRow>,
}

/// Counts what is acknowledged, and when.
struct Counting<P> {
    inner: P,
    acknowledged: Arc<AtomicUsize>,
}

impl<P> Counting<P> {
    fn count(&self, reports: &[Report]) {
        let good = reports.iter().filter(|report| report.outcome.is_ok()).count();
        self.acknowledged.fetch_add(good, Ordering::Relaxed);
    }
}

impl<P: Publisher + Sync> Publisher for Counting<P> {
    fn warm_up(&mut self) {
        self.inner.warm_up();
    }

    fn publish(&mut self, rows: &[OutboxRow]) {
        self.inner.publish(rows);
    }

    async fn reports(&mut self, reports: &mut Vec<Report>) {
        let before = reports.len();
        self.inner.reports(reports).await;
        self.count(&reports[before..]);
    }

    async fn withdraw(&mut self, patience: Duration, reports: &mut Vec<Report>) {
        let before = reports.len();
        self.inner.withdraw(patience, reports).await;
        self.count(&reports[before..]);
    }
}

#[derive(Clone, Copy)]
struct Run {
    whole: f64,
    steady: f64,
    cpu: [f64; 3],
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let rows: usize = arguments.next().map_or(200_000, |rows| rows.parse().unwrap());
    let rounds: usize = arguments.next().map_or(5, |rounds| rounds.parse().unwrap());
    let arms: Vec<String> = arguments.collect();
    let arms = if arms.is_empty() { ARMS.map(str::to_owned).to_vec() } else { arms };

    let db = TestDb::new(&[outbox_relay::MIGRATIONS]).await;
    let topic = unique("drain");
    let admin: AdminClient<_> = ClientConfig::new().set("bootstrap.servers", kafka_bootstrap()).create().unwrap();
    let new = NewTopic::new(&topic, 6, TopicReplication::Fixed(1)).set("retention.bytes", "200000000");
    admin.create_topics([&new], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    let mut bench = Bench { db, topic, rows, memory: Vec::new() };
    bench.fill().await;
    if arms.iter().any(|arm| arm.starts_with("raw")) {
        bench.memory = bench.in_memory().await;
    }

    let mut runs: BTreeMap<&str, Vec<Run>> = BTreeMap::new();
    for round in 0..=rounds {
        for arm in &arms {
            let run = bench.run(arm).await;
            // The first of all is for caches.
            if round > 0 {
                runs.entry(arm).or_default().push(run);
            }
        }
    }
    let median = |arm: &str, of: fn(&Run) -> f64| {
        let mut figures: Vec<f64> = runs[arm].iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        (figures[figures.len() / 2], figures[0], figures[figures.len() - 1])
    };
    println!(
        "{:10} {:>9} {:>9} {:>19} {:>8} {:>8} {:>8}",
        "arm", "whole/s", "steady/s", "(least - most)", "own us", "pg us", "kafka us"
    );
    for arm in &arms {
        let (steady, least, most) = median(arm, |run| run.steady);
        println!(
            "{arm:10} {:9.0} {steady:9.0} {least:9.0} - {most:7.0} {:8.2} {:8.2} {:8.2}",
            median(arm, |run| run.whole).0,
            median(arm, |run| run.cpu[0]).0,
            median(arm, |run| run.cpu[1]).0,
            median(arm, |run| run.cpu[2]).0
        );
    }
    println!("peak memory of this process: {} MB", peak_memory());
}

impl Bench {
    async fn fill(&self) {
        let step = 50_000;
        for from in (1..=self.rows).step_by(step) {
            let to = self.rows.min(from + step - 1);
            let fill =
                FILL.replace("TOPIC", &self.topic).replace("FROM", &from.to_string()).replace("TO", &to.to_string());
            self.db.conn().await.batch_execute(&fill).await.unwrap();
        }
        self.db.conn().await.batch_execute("checkpoint").await.unwrap();
    }

    async fn client(&self) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(&self.db.url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    async fn in_memory(&self) -> Vec<OutboxRow> {
        let read = "select id, topic, key, headers::text, payload from outbox order by id";
        let rows = self.client().await.query(read, &[]).await.unwrap();
        let row = |row: &tokio_postgres::Row| OutboxRow {
            id: row.get(0),
            topic: row.get(1),
            key: row.get(2),
            headers: serde_json::from_str::<Vec<(String, String)>>(row.get(3)).unwrap().into_iter().collect(),
            payload: row.get(4),
        };
        rows.iter().map(row).collect()
    }

    async fn run(&self, arm: &str) -> Run {
        let mut config = RelayConfig::new("drain", SecretString::from(self.db.url.clone()), kafka_bootstrap())
            .trace_header("ce_traceparent");
        if let Some(rows) = std::env::var("BATCH").ok().and_then(|rows| rows.parse().ok()) {
            config.batch.rows = rows;
        }
        let kafka = || KafkaPublisher::new(&config.brokers, config.in_flight.rows, config.in_flight.bytes);
        let before = cpu();
        let (name, setting) = arm.split_once(':').unwrap_or((arm, ""));
        let with = |publisher: KafkaPublisher| {
            setting
                .split(',')
                .filter_map(|setting| setting.split_once('='))
                .fold(publisher, |publisher, (key, value)| publisher.with(key, value))
        };
        let (whole, steady) = match name {
            "raw" => tokio::task::block_in_place(|| self.raw(setting)),
            "relay" => self.relay(config.clone(), with(kafka())).await,
            "archive" => {
                let config = config.clone().archive(Some("1h".parse().unwrap()));
                self.relay(config, with(kafka())).await
            }
            "null" => self.relay(config.clone(), NullPublisher::default()).await,
            "sql" => self.sql().await,
            other => panic!("{other}: the arms are {ARMS:?}"),
        };
        let after = cpu();
        if name != "raw" {
            self.db.conn().await.batch_execute("truncate outbox, outbox_archive").await.unwrap();
            self.fill().await;
        }
        let rows = self.rows as f64;
        let cpu = [0, 1, 2].map(|part| (after[part] - before[part]) * 1e6 / rows);
        println!("{arm:10} {:9.0} {steady:9.0}   {cpu:.2?}", rows / whole);
        Run { whole: rows / whole, steady, cpu }
    }

    /// The time for all, and rows a second from the first acknowledgements to the last.
    async fn relay<P: Publisher + Sync>(&self, config: RelayConfig, inner: P) -> (f64, f64) {
        let (acknowledged, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let relay = Relay::new(config, Counting { inner, acknowledged: Arc::clone(&acknowledged) });
        let start = Instant::now();
        let running = tokio::spawn(relay.run(stop.clone()));
        let mut first = None;
        loop {
            let count = acknowledged.load(Ordering::Relaxed);
            if count > 0 && first.is_none() {
                first = Some((count, Instant::now()));
            }
            if count >= self.rows {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (count, since) = first.unwrap();
        let steady = (self.rows - count) as f64 / since.elapsed().as_secs_f64();
        let client = self.client().await;
        while client.query_opt("select from outbox limit 1", &[]).await.unwrap().is_some() {}
        let whole = start.elapsed().as_secs_f64();
        stop.cancel();
        running.await.unwrap();
        (whole, steady)
    }

    fn raw(&self, setting: &str) -> (f64, f64) {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", kafka_bootstrap())
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "lz4");
        for (key, value) in setting.split(',').filter_map(|setting| setting.split_once('=')) {
            config.set(key, value);
        }
        let producer: BaseProducer = config.create().unwrap();
        let start = Instant::now();
        // The connection is made before the clock of the steady figure starts.
        producer.send(self.record(&self.memory[0])).unwrap();
        producer.flush(Duration::from_secs(30)).unwrap();
        let since = Instant::now();
        std::thread::scope(|scope| {
            let served = scope.spawn(|| {
                while producer.in_flight_count() > 0 || since.elapsed() < Duration::from_millis(100) {
                    producer.poll(Duration::from_millis(10));
                }
            });
            for row in &self.memory[1..] {
                while producer.send(self.record(row)).is_err() {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            served.join().unwrap();
        });
        let steady = (self.rows - 1) as f64 / since.elapsed().as_secs_f64();
        (start.elapsed().as_secs_f64(), steady)
    }

    fn record<'a>(&self, row: &'a OutboxRow) -> BaseRecord<'a, str, [u8], ()> {
        let headers =
            row.headers.iter().fold(OwnedHeaders::new_with_capacity(row.headers.len()), |headers, (key, value)| {
                headers.insert(Header { key, value: Some(value) })
            });
        BaseRecord::to(&row.topic).key(row.key.as_str()).payload(row.payload.as_slice()).headers(headers)
    }

    /// Reads and deletes, batch after batch, and does nothing with what was read.
    async fn sql(&self) -> (f64, f64) {
        let client = self.client().await;
        client.batch_execute("set synchronous_commit = off").await.unwrap();
        let read = client
            .prepare("select id, topic, key, headers, payload from outbox where id > $1 order by id limit 2000")
            .await
            .unwrap();
        let delete = client.prepare("delete from outbox where id = any($1)").await.unwrap();
        let start = Instant::now();
        let mut after = 0_i64;
        loop {
            let rows = client.query(&read, &[&after]).await.unwrap();
            let Some(last) = rows.last() else { break };
            after = last.get(0);
            let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            client.execute(&delete, &[&ids]).await.unwrap();
        }
        let whole = start.elapsed().as_secs_f64();
        (whole, self.rows as f64 / whole)
    }
}

/// Seconds of CPU of this process, PostgreSQL and Kafka.
fn cpu() -> [f64; 3] {
    let of = |variable: &str| std::env::var(variable).ok().and_then(|pid| pid.parse().ok()).map_or(0.0, tree);
    [tree(std::process::id()), of("PG_PID"), of("KAFKA_PID")]
}

/// A process with its children, the ended among them.
fn tree(root: u32) -> f64 {
    let stats = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let pid: u32 = name.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<String> = stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect();
        let ticks = |field: usize| fields[field].parse::<f64>().unwrap_or_default();
        let parent: u32 = fields[1].parse().ok()?;
        let own = ticks(11) + ticks(12);
        match (pid == root, parent == root) {
            (true, _) => Some(own + ticks(13) + ticks(14)),
            (_, true) => Some(own),
            _ => None,
        }
    });
    stats.sum::<f64>() / 100.0
}

fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}
