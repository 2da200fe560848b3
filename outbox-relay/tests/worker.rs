//! The worker as its operators see it: HTTP, refusals at start, the command line.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};

use outbox_relay::worker::{Config, Worker};
use service_kit::config::Reader;
use service_kit::testing::{Running, TestDb, eventually, kafka_bootstrap};
use support::{SOON, commit, first_appearances, large, read, row, topic, used_database};

fn config(databases: &str) -> Config {
    let variables = [
        ("OUTBOX_RELAY_DATABASES", databases.to_owned()),
        ("KAFKA_BOOTSTRAP_SERVERS", kafka_bootstrap()),
        ("METRICS_ADDR", "127.0.0.1:0".to_owned()),
    ];
    Reader::from_pairs(variables).whole(Config::read).unwrap()
}

async fn get(port: u16, path: &'static str) -> String {
    let ask = move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_relays_several_databases_and_says_when_it_is_ready() {
    let (one, two, topic) = (used_database().await, used_database().await, topic(&[]).await);
    let worker = Worker::build(&config(&format!("{},{}", one.url, two.url))).unwrap();
    let port = worker.port();
    let running = Running::start(|stop| worker.run_until(stop));
    assert!(get(port, "/healthz").await.starts_with("HTTP/1.0 200"));
    eventually("ready", SOON, async || get(port, "/readyz").await.starts_with("HTTP/1.0 200")).await;
    commit(&one, vec![row(&topic, "one", 1)]).await;
    commit(&two, vec![row(&topic, "two", 1)]).await;
    eventually("both are published", SOON, async || one.count("outbox").await + two.count("outbox").await == 0).await;
    assert_eq!(first_appearances(&read(&topic).await).len(), 2);
    running.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_database_is_away_is_alive_and_not_ready() {
    let worker = Worker::build(&config("postgres://nobody@127.0.0.1:1/nothing")).unwrap();
    let port = worker.port();
    let running = Running::start(|stop| worker.run_until(stop));
    assert!(get(port, "/healthz").await.starts_with("HTTP/1.0 200"));
    assert!(get(port, "/readyz").await.starts_with("HTTP/1.0 503"));
    running.end().await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_with_its_variable() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config("postgres://nobody@127.0.0.1:1/nothing");
    config.metrics.addr = taken.local_addr().unwrap();
    let told = Worker::build(&config).err().map(|error| format!("{error:#}")).unwrap();
    assert!(told.contains("METRICS_ADDR") && told.contains(&config.metrics.addr.to_string()), "{told}");
}

async fn outbox_relay(databases: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outbox-relay"));
    command.args(arguments).env("OUTBOX_RELAY_DATABASES", databases).env_remove("KAFKA_BOOTSTRAP_SERVERS");
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

async fn told(db: &TestDb, arguments: &[&str]) -> String {
    let output = outbox_relay(&db.url, arguments).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_variable_ends_the_worker_at_once_with_its_name_and_an_example() {
    let output = outbox_relay("", &[]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("KAFKA_BOOTSTRAP_SERVERS is not set") && said.contains("OUTBOX_RELAY_DATABASES is not set"));
    assert!(said.contains("for example"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_parked_rows_are_listed_and_one_that_is_discarded_lets_the_others_go_on() {
    let (db, topic) = (used_database().await, topic(&[("max.message.bytes", "20000")]).await);
    commit(&db, vec![large(&topic, "bad", 1, 40_000), row(&topic, "bad", 2)]).await;
    let worker = Worker::build(&config(&db.url)).unwrap();
    let running = Running::start(|stop| worker.run_until(stop));
    eventually("both are parked", SOON, async || db.count("outbox_parked").await == 2).await;
    let listed = told(&db, &["parked", "list"]).await;
    let refused: Vec<&str> = listed.lines().nth(1).unwrap().split('\t').collect();
    assert_eq!((refused[2], refused[3]), (topic.as_str(), "bad"), "{listed}");
    assert!(listed.contains("waits behind another row of its key"), "{listed}");

    let retried = told(&db, &["parked", "retry", refused[0], &topic, "bad"]).await;
    assert!(retried.starts_with("2 rows"), "{retried}");
    told(&db, &["parked", "discard", refused[0], refused[1]]).await;
    eventually("nothing is parked", SOON, async || db.count("outbox_parked").await == 0).await;
    assert_eq!(first_appearances(&read(&topic).await)["bad"], [2]);
    let nonsense = outbox_relay(&db.url, &["parked", "discard", refused[0], "x"]).await;
    assert!(String::from_utf8(nonsense.stderr).unwrap().contains("x is not the id of a row"));
    running.end().await.unwrap();
}
