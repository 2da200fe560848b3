//! What `/metrics` tells, and what it costs when nobody asks for it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use common::kafka::{Member, Producer, SOON, topic};
use common::{Notebook, database, heard};
use diesel::sql_query;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use futures_util::future::join_all;
use reqwest::{Client, Method};
use service_kit::auth::Guard;
use service_kit::config::{LogFormat, TelemetryConfig};
use service_kit::consumer::Subscription;
use service_kit::http::{Readiness, bind};
use service_kit::pool::Share;
use service_kit::telemetry;
use service_kit::testing::{eventually, unique};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The recorder is the process's, and so that of all tests here.
fn recording() {
    static ONCE: Once = Once::new();
    let config = TelemetryConfig { format: LogFormat::Json, filter: "warn".to_owned(), tracing: None };
    ONCE.call_once(|| telemetry::init("test", &config).unwrap());
}

fn value_of(gauge: &str) -> Option<f64> {
    value_with(gauge, "")
}

/// The value of the metric's first series that has `label` in it.
fn value_with(metric: &str, label: &str) -> Option<f64> {
    let rendered = telemetry::render_metrics();
    let line = rendered.lines().find(|line| line.starts_with(metric) && line.contains(label))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_and_parked_keys_are_counted_and_the_progress_is_noted_all_the_same() {
    recording();
    let (db, topic, producer) = (database().await, topic(1).await, Producer::new());
    let heard_here = vec![Subscription::inbox(&topic)];
    let member = Member::start(&db.pool, &unique("g"), heard_here, Arc::new(Notebook::default()));
    producer.say(&topic, "a", "unreadable").await;
    producer.say(&topic, "a", "behind").await;
    producer.say(&topic, "b", "unreadable").await;
    eventually("they are counted", SOON, async || {
        value_of("consumer_dead_letters") == Some(3.0) && value_of("consumer_parked_keys") == Some(2.0)
    })
    .await;
    let noted = "consumer_progress where caught_up_to > (select max(buried_at) from dead_letters)";
    eventually("the progress is noted", SOON, async || db.count(noted).await == 1).await;
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lag_in_seconds_counts_from_before_a_restart() {
    recording();
    let (db, topic, producer) = (database().await, topic(1).await, Producer::new());
    let (group, heard_here) = (unique("g"), vec![Subscription::inbox(&topic)]);
    let read = "insert into consumer_progress values ($1, $2, 0, 0, now() - interval '2 hours')";
    let mut conn = db.conn().await;
    sql_query(read).bind::<Text, _>(&group).bind::<Text, _>(&topic).execute(&mut conn).await.unwrap();
    // What is said now can't be handled: somebody holds the table.
    sql_query("begin").execute(&mut conn).await.unwrap();
    sql_query("lock table inbox in access exclusive mode").execute(&mut conn).await.unwrap();
    producer.say(&topic, "a", "waits").await;
    let member = Member::start(&db.pool, &group, heard_here, Arc::new(Notebook::default()));
    let lag = || value_with("consumer_lag_seconds", &topic);
    eventually("the lag is told", SOON, async || lag().is_some_and(|seconds| seconds >= 7_200.0)).await;
    sql_query("rollback").execute(&mut conn).await.unwrap();
    eventually("nothing waits", SOON, async || lag() == Some(0.0)).await;
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_gets_no_connection_in_time_is_counted_and_its_wait_is_told() {
    recording();
    let db = database().await;
    let pool = db.pool.of(Share::Timers);
    let all: Vec<_> = join_all((0..pool.most()).map(|_| pool.get())).await;
    assert!(all.iter().all(Result::is_ok));
    let of = |name: &str| value_with(name, "share=\"timers\"").unwrap();
    let before = (of("database_pool_timeouts_total"), of("database_pool_wait_seconds_count"));
    assert!(pool.get().await.is_err());
    let after = (of("database_pool_timeouts_total"), of("database_pool_wait_seconds_count"));
    assert_eq!(after, (before.0 + 1.0, before.1 + 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_a_key_lacks_in_its_topic_are_counted_and_the_others_are_handled() {
    recording();
    let (db, topic, producer) = (database().await, topic(1).await, Producer::new());
    let heard_here = vec![Subscription::inbox(&topic)];
    let member = Member::start(&db.pool, &unique("g"), heard_here, Arc::new(Notebook::default()));
    for (key, sequence) in [("a", 1), ("b", 7), ("a", 2), ("b", 8), ("a", 2), ("a", 5), ("b", 9), ("b", 11)] {
        producer.send_numbered(&topic, key, sequence).await;
    }
    let lost = || {
        let rendered = telemetry::render_metrics();
        let of_topic = |line: &&str| line.starts_with("consumer_lost_events_total") && line.contains(&topic);
        rendered.lines().find(of_topic).and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    eventually("they are counted", SOON, async || lost() == Some(3.0)).await;
    assert_eq!(heard(&db, &["a", "b"]).await, ["1", "7", "2", "8", "2", "5", "9", "11"]);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_that_a_stranger_invents_are_one_series() {
    recording();
    let stop = CancellationToken::new();
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let server = bind("test", addr, Readiness::default(), Guard::for_everybody(), stop.clone(), |_| {}).unwrap();
    let base = format!("http://127.0.0.1:{}", server.port());
    tokio::spawn(server.run());
    let client = Client::new();
    for n in 0..300 {
        let method = Method::from_bytes(format!("INVENTED{n}").as_bytes()).unwrap();
        client.request(method, format!("{base}/{n}")).send().await.unwrap();
    }
    client.get(format!("{base}/healthz")).send().await.unwrap();
    let told = client.get(format!("{base}/metrics")).send().await.unwrap().text().await.unwrap();
    let series: Vec<_> = told.lines().filter(|line| line.starts_with("http_request_duration_seconds_count")).collect();
    assert!(series.iter().any(|line| line.contains(r#"method="GET""#)), "{series:?}");
    assert!(series.iter().any(|line| line.contains(r#"method="other""#) && line.ends_with(" 300")), "{series:?}");
    assert!(series.len() <= 4, "{series:?}");
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_client_has_gone_is_told_of_all_the_same() {
    static BEGUN: Notify = Notify::const_new();
    static GO_ON: Notify = Notify::const_new();
    recording();
    let slow = || async {
        BEGUN.notify_one();
        GO_ON.notified().await;
        "done"
    };
    let stop = CancellationToken::new();
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let routes = move |config: &mut ServiceConfig| _ = config.route("/slow", web::get().to(slow));
    let server = bind("test", addr, Readiness::default(), Guard::for_everybody(), stop.clone(), routes).unwrap();
    let port = server.port();
    tokio::spawn(server.run());
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    client.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    BEGUN.notified().await;
    client.set_zero_linger().unwrap(); // a reset, as when the client's process is killed; actix waits out a mere close
    drop(client);
    // each of the two workers has seen the reset once it has answered somebody who came later
    for _ in 0..4 {
        reqwest::get(format!("http://127.0.0.1:{port}/healthz")).await.unwrap();
    }
    GO_ON.notify_one();
    let told = || value_with("http_request_duration_seconds_count", "route=\"/slow\"");
    eventually("it is told of", SOON, async || told() == Some(1.0)).await;
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn histograms_that_nobody_asks_for_are_summed_up_and_keep_no_samples() {
    const ROUNDS: u64 = 5;
    const SAMPLES: u64 = 1_000_000;
    recording();
    let samples = metrics::histogram!("idle_seconds");
    let mut held = Vec::new();
    for _ in 0..ROUNDS {
        for _ in 0..SAMPLES {
            samples.record(0.1);
        }
        let before = telemetry::upkeeps();
        // the first may have begun before the last sample
        eventually("they are summed up", Duration::from_secs(60), async || telemetry::upkeeps() >= before + 2).await;
        held.push(resident_bytes());
    }
    let grown = held[held.len() - 1].saturating_sub(held[0]);
    let kept = (ROUNDS - 1) * SAMPLES * 8;
    assert!(grown < kept / 2, "{grown} bytes more than after the first round, of {kept} in samples: {held:?}");
}

fn resident_bytes() -> u64 {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// A histogram without bounds is a summary, and one with those of another unit tells nothing.
#[test]
fn the_name_of_every_histogram_says_its_unit() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut names = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["target", "tests", ".git"].contains(&name.as_str()) {
                folders.push(path);
            } else if name.ends_with(".rs") && path.is_file() {
                let text = std::fs::read_to_string(&path).unwrap();
                let calls = text.split("histogram!(").skip(1);
                names.extend(
                    calls.filter_map(|call| Some(call.trim_start().strip_prefix('"')?.split('"').next()?.to_owned())),
                );
            }
        }
    }
    assert!(names.contains(&"http_request_duration_seconds".to_owned()), "{names:?}");
    let units = ["_seconds", "_size", "_records"];
    let without: Vec<_> = names.iter().filter(|name| !units.iter().any(|unit| name.ends_with(unit))).collect();
    assert!(without.is_empty(), "service_kit::telemetry has bounds for {units:?} only: {without:?}");
}
