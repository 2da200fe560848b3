//! A service that is told to stop while it still waits at its start ends promptly, and by itself: as the first process of
//! a container it would not be ended by the signal's default action.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quadrille_acceptance::program;
use service_kit::testing::{TestDb, kafka_bootstrap};

const SERVICES: [&str; 5] = ["order-svc", "stock-svc", "payment-svc", "notification-svc", "sandbox-gateway"];
/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:1";

fn start(service: &str, database_url: &str, kafka: &str) -> (Child, BufReader<ChildStderr>) {
    let mut command = Command::new(program("quadrille").unwrap());
    command.args(["run", service]).env_clear().stderr(Stdio::piped());
    let environment = [
        ("DATABASE_URL", database_url),
        ("KAFKA_BOOTSTRAP_SERVERS", kafka),
        ("OUTBOX_RELAY_DATABASES", database_url),
        ("HTTP_ADDR", "127.0.0.1:0"),
        ("AUTH", "off"),
        ("METRICS_ADDR", "127.0.0.1:0"),
        ("PAYMENT_GATEWAY_KEY", "sk_test"),
        ("MAIL_TRANSPORT", "smtp://127.0.0.1:1"),
        ("MAIL_FROM", "shop@example.com"),
    ];
    let mut child = command.envs(environment).spawn().unwrap();
    let said = BufReader::new(child.stderr.take().unwrap());
    (child, said)
}

fn wait_for(said: &mut impl BufRead, words: &str) {
    let mut all = String::new();
    while !all.contains(words) {
        assert!(said.read_line(&mut all).unwrap() > 0, "it ended without saying {words:?}: {all}");
    }
}

/// How long it took to end after SIGTERM, which it must have noticed itself.
fn stop(mut child: Child, mut said: impl BufRead) -> Duration {
    let told = Instant::now();
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{status}: {rest}");
    told.elapsed()
}

#[test]
fn told_to_stop_while_it_waits_for_postgresql_a_service_ends() {
    for service in SERVICES {
        let (child, mut said) = start(service, &format!("postgres://nobody@{NOBODY}/nothing"), NOBODY);
        wait_for(&mut said, "waiting for PostgreSQL");
        let took = stop(child, said);
        assert!(took < Duration::from_secs(5), "{service} took {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_while_it_waits_for_kafka_a_service_ends() {
    let db = TestDb::new(&order_svc::migrations()).await;
    let (child, mut said) = start("order-svc", &db.url, NOBODY);
    wait_for(&mut said, "waiting for Kafka");
    let took = stop(child, said);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn told_to_stop_a_tool_that_waits_ends_at_once() {
    for tool in [vec!["catalogue"], vec!["topics", "create"]] {
        let mut command = Command::new(program("quadrille").unwrap());
        command.args(&tool).env_clear().stderr(Stdio::piped());
        let address = [("STOCK_URL", "http://127.0.0.1:1"), ("KAFKA_BOOTSTRAP_SERVERS", NOBODY)];
        let mut child = command.envs(address).spawn().unwrap();
        wait_for(&mut BufReader::new(child.stderr.take().unwrap()), "waiting for ");
        let told = Instant::now();
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(143), "{tool:?}");
        assert!(told.elapsed() < Duration::from_secs(3), "{tool:?}");
    }
}

#[test]
fn told_to_stop_while_its_database_is_away_the_relay_ends() {
    let (child, mut said) = start("outbox-relay", &format!("postgres://nobody@{NOBODY}/nothing"), &kafka_bootstrap());
    wait_for(&mut said, "starts over");
    let took = stop(child, said);
    assert!(took < Duration::from_secs(5), "{took:?}");
}
