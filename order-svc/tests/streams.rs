//! 2,000 streams on one order-svc, as a process of its own: what they cost, and that each of them tells everything.
//! `make test ARGS='-p order-svc --test streams -- --nocapture'` shows the figures.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the figures are for whoever reads the test's output")]

mod common;

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::server::order;
use common::*;
use futures_util::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quadrille_testing::kafka::{make_topics, send};
use reqwest::StatusCode;
use serde_json::{Value, json};
use service_kit::testing::{TestDb, eventually, kafka_bootstrap, unique};
use shared_events::{OrderId, ProductStatus};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader as Lines};
use tokio::net::TcpStream;
use tokio::sync::watch;

const ORDERS: usize = 400;
const STREAMS_OF_EACH: usize = 5;
/// What 2,000 streams may cost.
/// What they may take of a release build. One that isn't optimised has larger tasks.
const LIMIT_KB: u64 = if cfg!(debug_assertions) { 75_000 } else { 60_000 };
const PATIENCE: Duration = Duration::from_secs(180);

/// The service's program, running.
struct Service {
    child: Child,
    addr: SocketAddr,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
    }
}

impl Service {
    fn start(database_url: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_order-svc"));
        command.env_clear().stderr(Stdio::piped()).envs([
            ("DATABASE_URL", database_url),
            ("KAFKA_BOOTSTRAP_SERVERS", &kafka_bootstrap()),
            ("HTTP_ADDR", "127.0.0.1:0"),
            ("AUTH", "off"),
            ("LOG_FORMAT", "json"),
        ]);
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let lines = said.by_ref().map(|line| serde_json::from_str::<Value>(&line).unwrap());
        let port = lines.filter(|line| line["message"] == "listening").find_map(|line| line["port"].as_u64()).unwrap();
        std::thread::spawn(move || said.for_each(drop));
        Self { child, addr: (Ipv4Addr::LOCALHOST, port.try_into().unwrap()).into() }
    }

    fn url(&self) -> String {
        format!("http://{}/api/v1/orders", self.addr)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// A figure of /proc/PID/status in kB: `VmRSS` is what it takes now, `VmHWM` the most that it ever took.
    fn memory_kb(&self, what: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(what)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// Listens until the stream ends; says which positions and which statuses it told. Counts itself once it is told something.
async fn listen(addr: SocketAddr, id: OrderId, open: watch::Sender<usize>) -> (Vec<i64>, Vec<String>) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET /api/v1/orders/{id}/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = Lines::with_capacity(1024, stream).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "HTTP/1.1 200 OK");
    let (mut positions, mut statuses) = (vec![], vec![]);
    while let Some(line) = lines.next_line().await.unwrap() {
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let event: Value = serde_json::from_str(data).unwrap();
        positions.push(event["position"].as_i64().unwrap());
        if event["status_before"] != event["status"] {
            statuses.push(event["status"].as_str().unwrap().to_owned());
        }
        if positions.len() == 1 {
            open.send_modify(|open| *open += 1);
        }
    }
    (positions, statuses)
}

/// What it takes until that many are open.
async fn until_open(open: &watch::Sender<usize>, count: usize) -> Duration {
    let began = Instant::now();
    let all_open = async { open.subscribe().wait_for(|open| *open == count).await.map(drop) };
    tokio::time::timeout(PATIENCE, all_open).await.unwrap().unwrap();
    began.elapsed()
}

/// Every other order is delivered, the rest are given back.
fn goes_well(number: usize) -> bool {
    number.is_multiple_of(2)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_streams_cost_less_than_60_mb_of_a_release_build_and_tell_every_status() {
    service_kit::files::take_all().unwrap();
    make_topics().await;
    let (db, others, client) = (TestDb::new(&order_svc::migrations()).await, Others::default(), reqwest::Client::new());
    let mut service = Service::start(&db.url);
    let url = service.url();
    let sku = unique("SKU").to_uppercase();
    send([others.record(product(&sku, 12_99, ProductStatus::Active))]).await;
    let mut request = order();
    request["lines"] = json!([{"sku": sku, "quantity": 3}]);
    let place = async || client.post(&url).json(&request).send().await.unwrap();
    eventually("the product is known", PATIENCE, async || place().await.status() == StatusCode::ACCEPTED).await;
    let mut orders: Vec<OrderId> = vec![];
    for _ in 0..ORDERS {
        let placed: Value = place().await.json().await.unwrap();
        orders.push(placed["id"].as_str().unwrap().parse().unwrap());
    }

    let before = service.memory_kb("VmRSS");
    let count = ORDERS * STREAMS_OF_EACH;
    let open = watch::Sender::new(0);
    let streams: Vec<_> =
        (0..count).map(|number| tokio::spawn(listen(service.addr, orders[number % ORDERS], open.clone()))).collect();
    let opened_in = until_open(&open, count).await;
    let idle = service.memory_kb("VmRSS");

    let began = Instant::now();
    let start: [Fact; 2] = [reserved, authorized];
    let well: [Fact; 5] = [committed, captured, parcel_created, dispatched, delivered];
    send(orders.iter().flat_map(|id| start.map(|fact| others.record(fact(*id))))).await;
    for (_, id) in orders.iter().enumerate().filter(|(number, _)| !goes_well(*number)) {
        assert_eq!(client.post(format!("{url}/{id}/cancel")).send().await.unwrap().status(), StatusCode::ACCEPTED);
    }
    let (delivered, given_back): (Vec<_>, Vec<_>) = orders.iter().enumerate().partition(|(n, _)| goes_well(*n));
    send(delivered.iter().flat_map(|(_, id)| well.map(|fact| others.record(fact(**id))))).await;
    let back: [Fact; 2] = [released, voided];
    send(given_back.iter().flat_map(|(_, id)| back.map(|fact| others.record(fact(**id))))).await;
    let told = tokio::time::timeout(PATIENCE, join_all(streams)).await.unwrap();
    let moved_in = began.elapsed();
    let (after, most) = (service.memory_kb("VmRSS"), service.memory_kb("VmHWM"));

    let mut events = 0;
    for (number, stream) in told.into_iter().enumerate() {
        let (positions, statuses) = stream.unwrap();
        assert_eq!(positions, (1..=i64::try_from(positions.len()).unwrap()).collect::<Vec<_>>());
        events += positions.len();
        if goes_well(number % ORDERS) {
            assert_eq!(statuses, ["pending", "confirmed", "shipped", "completed"]);
        } else {
            let confirmed_first = ["pending", "confirmed", "cancelling", "cancelled"];
            assert!(statuses == confirmed_first || statuses == ["pending", "cancelling", "cancelled"], "{statuses:?}");
        }
    }
    println!("{count} streams of {ORDERS} orders, opened in {opened_in:?}; {events} events told in {moved_in:?}");
    println!(
        "memory: {before} kB before, {idle} kB when all were open, {most} kB at most, {after} kB when all had ended"
    );
    println!("a stream: {:.1} kB", (idle - before) as f64 / count as f64);
    assert!(idle - before < LIMIT_KB && most - before < LIMIT_KB, "{count} streams cost more than {LIMIT_KB} kB");

    stopping_ends_streams(&mut service, &place).await;
}

/// Told to stop with streams open, it ends them and then itself.
async fn stopping_ends_streams(service: &mut Service, place: &impl AsyncFn() -> reqwest::Response) {
    let placed: Value = place().await.json().await.unwrap();
    let id: OrderId = placed["id"].as_str().unwrap().parse().unwrap();
    let open = watch::Sender::new(0);
    let streams: Vec<_> = (0..100).map(|_| tokio::spawn(listen(service.addr, id, open.clone()))).collect();
    until_open(&open, 100).await;
    let began = Instant::now();
    kill(service.pid(), Signal::SIGTERM).unwrap();
    for stream in tokio::time::timeout(PATIENCE, join_all(streams)).await.unwrap() {
        assert_eq!(stream.unwrap(), (vec![1], vec!["pending".to_owned()]));
    }
    let streams_ended = began.elapsed();
    let child = RefCell::new(&mut service.child);
    let ended = async || child.borrow_mut().try_wait().unwrap().is_some();
    eventually("it ends", Duration::from_secs(30), ended).await;
    assert_eq!(child.borrow_mut().wait().unwrap().code(), Some(0));
    println!("stopping ended 100 streams in {streams_ended:?}, the service in {:?}", began.elapsed());
}
