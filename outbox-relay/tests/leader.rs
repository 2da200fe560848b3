//! A leader that is gone with batches in flight: another takes over, nothing is lost, nothing overtakes.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod support;

use std::process::{Child, Command};

use diesel::sql_query;
use diesel_async::RunQueryDsl;
use outbox_relay::{Relay, State};
use service_kit::testing::{TestDb, eventually, kafka_bootstrap};
use support::{SOON, commit, first_appearances, holds, read, relay_to_tests_kafka, row, topic, used_database};
use tokio_util::sync::CancellationToken;

const ROWS: usize = 20_000;
const KEYS: usize = 50;

async fn commit_many(db: &TestDb, topic: &str) {
    let rows = (0..ROWS).map(|number| row(topic, &format!("k{}", number % KEYS), number / KEYS)).collect();
    commit(db, rows).await;
}

async fn half_way(db: &TestDb) {
    eventually("some rows are published", SOON, async || db.count("outbox").await < 19_000).await;
    assert!(db.count("outbox").await > 0, "the relay was done too soon to show anything");
}

/// The lock's holder, as PostgreSQL knows it.
const LEADER: &str = "select pid from pg_locks where locktype = 'advisory' and granted
    and database = (select oid from pg_database where datname = current_database())";

async fn everything_arrived_in_order(db: &TestDb, topic: &str) {
    eventually("all is published", SOON, async || db.count("outbox").await == 0).await;
    let seen = first_appearances(&read(topic).await);
    assert_eq!(seen.len(), KEYS);
    for (key, numbers) in seen {
        assert!(numbers.is_sorted() && numbers.len() == ROWS / KEYS, "{key}: {numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_session_is_terminated_stops_and_another_goes_on() {
    let (db, topic) = (used_database().await, topic(&[]).await);
    let stop = CancellationToken::new();
    let _running = stop.clone().drop_guard();
    let (first, second) = (Relay::to_kafka(relay_to_tests_kafka(&db)), Relay::to_kafka(relay_to_tests_kafka(&db)));
    let (a, b) = (first.health(), second.health());
    tokio::spawn(first.run(stop.clone()));
    eventually("one leads", SOON, async || a.state() == State::Leading).await;
    tokio::spawn(second.run(stop.clone()));
    eventually("one stands by", SOON, async || b.state() == State::StandingBy).await;
    commit_many(&db, &topic).await;
    half_way(&db).await;
    sql_query(format!("select pg_terminate_backend(pid) from ({LEADER}) as leader"))
        .execute(&mut db.conn().await)
        .await
        .unwrap();
    everything_arrived_in_order(&db, &topic).await;
    eventually("one leads and one stands by again", SOON, async || {
        let states = [a.state(), b.state()];
        states.contains(&State::Leading) && states.contains(&State::StandingBy)
    })
    .await;
}

/// A worker process that is killed when the test ends.
struct Worker(Child);

impl Worker {
    fn start(db: &TestDb) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_outbox-relay"))
            .env("OUTBOX_RELAY_DATABASES", &db.url)
            .env("KAFKA_BOOTSTRAP_SERVERS", kafka_bootstrap())
            .env("METRICS_ADDR", "127.0.0.1:0")
            .env("RUST_LOG", "warn")
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_half_way_is_replaced_by_the_one_that_stands_by() {
    let (db, topic) = (used_database().await, topic(&[]).await);
    let leads = format!("exists ({LEADER})");
    let first = Worker::start(&db);
    eventually("the first leads", SOON, async || holds(&db, &leads).await).await;
    let _second = Worker::start(&db);
    eventually("the second has its session too", SOON, async || {
        // By its beginning: the text of this question contains the words too, in whichever sessions it was asked.
        let stands_by = format!(
            "pg_stat_activity where datname = current_database() and query like 'select pg_try_advisory%'
                and pid not in ({LEADER})"
        );
        db.count(&stands_by).await >= 1
    })
    .await;
    commit_many(&db, &topic).await;
    half_way(&db).await;
    drop(first); // SIGKILL
    everything_arrived_in_order(&db, &topic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_stop_drains_and_ends_well() {
    let (db, topic) = (used_database().await, topic(&[]).await);
    let mut worker = Worker::start(&db);
    commit_many(&db, &topic).await;
    half_way(&db).await;
    let pid = nix::unistd::Pid::from_raw(worker.0.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let mut status = None;
    eventually("it ends", SOON, || {
        status = worker.0.try_wait().unwrap();
        std::future::ready(status.is_some())
    })
    .await;
    assert!(status.unwrap().success());
    let published: usize = first_appearances(&read(&topic).await).values().map(Vec::len).sum();
    let pending = usize::try_from(db.count("outbox").await).unwrap();
    assert_eq!(published + pending, ROWS, "every row that was published is deleted, and no other");
}
