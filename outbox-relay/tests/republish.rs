//! What was published is sent again, as it was the first time.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod support;

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::SimpleAsyncConnection;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outbox_relay::republish::{Archived, Stopped, Window, archived, send_again};
use outbox_relay::{BatchOutcome, Bound, NewRow, Relay, RelayConfig};
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use service_kit::testing::{TestDb, eventually, kafka_bootstrap, unique};
use support::{
    Found, SOON, Traffic, admin, commit, first_appearances, holds, read, relay_to_tests_kafka, row, topic,
    used_database,
};
use tokio_util::sync::CancellationToken;

fn keeping(db: &TestDb) -> RelayConfig {
    relay_to_tests_kafka(db).archive("7d".parse().ok()).trace_header("ce_traceparent")
}

/// Rows of seven keys, with a trace each and a sequence for each key.
fn rows(topic: &str, numbers: std::ops::Range<usize>) -> Vec<NewRow> {
    let row = |number: usize| {
        let mut row = row(topic, &format!("k{}", number % 7), number);
        let trace = format!("00-{:032x}-00f067aa0ba902b7-01", number + 1);
        row.headers.push(("ce_traceparent".to_owned(), trace));
        row.headers.push(("ce_sequence".to_owned(), (number / 7 + 1).to_string()));
        row
    };
    numbers.map(row).collect()
}

async fn drain(config: RelayConfig) {
    let mut relay = Relay::to_kafka(config);
    while relay.run_once().await.unwrap() != BatchOutcome::Idle {}
}

/// A database with an archive, whose relay published these rows and stopped.
async fn published(topic: &str, numbers: std::ops::Range<usize>) -> TestDb {
    let db = used_database().await;
    commit(&db, rows(topic, numbers)).await;
    drain(keeping(&db)).await;
    assert_eq!(db.count("outbox").await, 0);
    db
}

/// The topic is lost, and made anew.
async fn lose(topic: &str) {
    let admin = admin(&kafka_bootstrap());
    admin.delete_topics(&[topic], &AdminOptions::new()).await.unwrap();
    eventually("the topic is there again and empty", SOON, async || {
        let new = NewTopic::new(topic, 3, TopicReplication::Fixed(1));
        admin.create_topics([&new], &AdminOptions::new()).await.unwrap()[0].is_ok()
    })
    .await;
}

async fn again(db: &TestDb, window: &Window) -> anyhow::Result<u64> {
    send_again(&keeping(db), window, &CancellationToken::new()).await
}

/// For each key its sequences, in the order of the topic.
fn sequences(found: &[Found]) -> Vec<(String, Vec<usize>)> {
    let mut keys = std::collections::BTreeMap::<String, Vec<usize>>::new();
    for record in found {
        let sequence = record.headers.iter().find(|header| header.0 == "ce_sequence").unwrap().1.parse().unwrap();
        keys.entry(record.key.clone()).or_default().push(sequence);
    }
    keys.into_iter().collect()
}

async fn outbox_relay(db: &TestDb, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outbox-relay"));
    command.args(arguments).env("OUTBOX_RELAY_DATABASES", &db.url).env("KAFKA_BOOTSTRAP_SERVERS", kafka_bootstrap());
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_lost_is_rebuilt_record_for_record() {
    let topic = topic(&[]).await;
    let db = published(&topic, 0..700).await;
    let before = read(&topic).await;
    assert_eq!(before.len(), 700);
    lose(&topic).await;
    assert_eq!(read(&topic).await.len(), 0);
    let output = outbox_relay(&db, &["republish", "--topic", &topic]).await;
    assert!(output.status.success(), "{output:?}");
    assert!(said(&output.stdout).contains(&format!("700 rows of {topic} are sent again")), "{output:?}");
    let after = read(&topic).await;
    assert_eq!(after, before, "keys, values, headers, the relay's own traceparent, and their order");
    for (key, sequences) in sequences(&after) {
        assert_eq!(sequences, (1..=100).collect::<Vec<_>>(), "{key}");
    }
    assert_eq!(db.count("outbox_archive").await, 700, "what was sent again is not archived again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_archived_is_known_and_so_is_that_something_is_not() {
    let nothing = TestDb::new(&[]).await;
    assert_eq!(archived(&keeping(&nothing)).await.unwrap(), Archived::default());
    let topic = topic(&[]).await;
    let db = published(&topic, 0..10).await;
    let all = Archived { topics: vec![topic.clone()], lacks_some: false };
    assert_eq!(archived(&keeping(&db)).await.unwrap(), all);
    drain(RelayConfig { archive: None, ..keeping(&db) }).await;
    assert_eq!(archived(&keeping(&db)).await.unwrap(), Archived { lacks_some: true, ..all });
    // as a program from before the archive left it
    let before = "drop view outbox_archive_partitions; drop table outbox_archive, outbox_archive_state cascade";
    db.run(before).await;
    assert_eq!(archived(&keeping(&db)).await.unwrap(), Archived { topics: Vec::new(), lacks_some: true });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pending_comes_after_what_is_sent_again_in_every_key() {
    let topic = topic(&[]).await;
    let db = published(&topic, 0..350).await;
    commit(&db, rows(&topic, 350..700)).await;
    lose(&topic).await;
    assert_eq!(again(&db, &Window::whole(&topic)).await.unwrap(), 350);
    assert_eq!(db.count("outbox").await, 350, "the relay's work is left to it");
    drain(keeping(&db)).await;
    for (key, sequences) in sequences(&read(&topic).await) {
        assert_eq!(sequences, (1..=100).collect::<Vec<_>>(), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_relay_leads_nothing_is_sent_and_it_is_named() {
    let topic = topic(&[]).await;
    let db = published(&topic, 0..10).await;
    let (relay, stop) = (Relay::to_kafka(keeping(&db)), CancellationToken::new());
    let (health, _running) = (relay.health(), stop.clone().drop_guard());
    tokio::spawn(relay.run(stop));
    eventually("it leads", SOON, async || health.state() == outbox_relay::State::Leading).await;
    let output = outbox_relay(&db, &["republish", "--topic", &topic]).await;
    let told = said(&output.stderr);
    assert_eq!((output.status.code(), told.lines().count()), (Some(1), 1), "{output:?}");
    assert!(told.contains("leads (process ") && told.contains("application outbox-relay relay-"), "{told}");
    assert!(told.contains("stop it first"), "{told}");
    assert_eq!(read(&topic).await.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_sends_no_relay_leads_and_afterwards_one_does() {
    let topic = topic(&[]).await;
    let db = published(&topic, 0..3_000).await;
    let slow = RelayConfig { batch: TINY, in_flight: TINY, ..keeping(&db) };
    let (window, never) = (Window::whole(&topic), CancellationToken::new());
    let sending = tokio::spawn(async move { send_again(&slow, &window, &never).await });
    eventually("some of it is sent", SOON, async || read(&topic).await.len() > 3_000).await;
    let traffic = Traffic::start(&db, &topic);
    let (relay, stop) = (Relay::to_kafka(keeping(&db)), CancellationToken::new());
    let _running = stop.clone().drop_guard();
    tokio::spawn(relay.run(stop));
    assert_eq!(sending.await.unwrap().unwrap(), 3_000);
    traffic.end().await;
    eventually("the relay goes on", SOON, async || db.count("outbox").await == 0).await;
    let found = read(&topic).await;
    for key in ["k0", "k6"] {
        let numbers: Vec<usize> = found.iter().filter(|row| row.key == key).map(|row| row.number).collect();
        let (first, second) = numbers.split_at(numbers.len() / 2);
        assert!(first == second && first.is_sorted());
    }
}

/// One round trip to the broker for each ten rows: there is time to interrupt.
const TINY: Bound = Bound { rows: 10, bytes: 1 << 20 };

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stopped_continues_without_a_gap() {
    let topic = topic(&[]).await;
    let db = published(&topic, 0..3_000).await;
    let before = read(&topic).await;
    lose(&topic).await;
    let (stop, mut window) = (CancellationToken::new(), Window::whole(&topic));
    let slow = RelayConfig { batch: TINY, in_flight: TINY, ..keeping(&db) };
    let sending = tokio::spawn({
        let (stop, window) = (stop.clone(), window.clone());
        async move { send_again(&slow, &window, &stop).await }
    });
    eventually("some of it is sent", SOON, async || !read(&topic).await.is_empty()).await;
    stop.cancel();
    let stopped = sending.await.unwrap().unwrap_err().downcast::<Stopped>().unwrap();
    assert!(stopped.sent > 0 && stopped.sent < 3_000, "{stopped:?}");
    assert_eq!(read(&topic).await.len() as u64, stopped.sent, "it waited for what was under way");
    window.after = stopped.after;
    assert_eq!(again(&db, &window).await.unwrap(), 3_000 - stopped.sent);
    assert_eq!(read(&topic).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_with_a_code_of_its_own_and_the_command_that_continues() {
    let topic = topic(&[]).await;
    let db = published(&topic, 0..70).await;
    let mut reader = db.conn().await;
    reader.batch_execute("begin; lock table outbox_archive").await.unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_outbox-relay"));
    command.args(["republish", "--topic", &topic, "--from", "1h", "--incomplete"]);
    command.env("OUTBOX_RELAY_DATABASES", &db.url).env("KAFKA_BOOTSTRAP_SERVERS", kafka_bootstrap());
    let child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    eventually("it waits for the archive", SOON, async || {
        holds(&db, "exists (select from pg_locks where not granted and relation = 'outbox_archive'::regclass)").await
    })
    .await;
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    reader.batch_execute("rollback").await.unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    let told = said(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains(&format!("outbox-relay republish --topic {topic} --from 20")), "{told}");
    assert!(told.contains(" --incomplete --database ") && told.contains(" --after 0"), "{told}");
    assert_eq!(read(&topic).await.len(), 70);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_and_one_that_is_not_there_are_refused() {
    let compacted = topic(&[("cleanup.policy", "compact,delete")]).await;
    let db = published(&compacted, 0..10).await;
    let told = again(&db, &Window::whole(&compacted)).await.unwrap_err().to_string();
    assert!(told.contains("is compacted") && told.contains("stock-svc reannounce"), "{told}");
    let output = outbox_relay(&db, &["republish", "--topic", &compacted]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output.stderr).contains("is compacted"), "{output:?}");
    assert_eq!(read(&compacted).await.len(), 10);
    let missing = again(&db, &Window::whole(unique("missing"))).await.unwrap_err().to_string();
    assert!(missing.contains("there is no topic"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_be_sent_and_sends_nothing_even_while_a_relay_leads() {
    let topic = topic(&[]).await;
    let db = published(&topic, 0..70).await;
    let (relay, stop) = (Relay::to_kafka(keeping(&db)), CancellationToken::new());
    let (health, _running) = (relay.health(), stop.clone().drop_guard());
    tokio::spawn(relay.run(stop));
    eventually("it leads", SOON, async || health.state() == outbox_relay::State::Leading).await;
    let output = outbox_relay(&db, &["republish", "--topic", &topic, "--dry-run"]).await;
    assert!(output.status.success(), "{output:?}");
    assert!(said(&output.stdout).contains(&format!("{topic}: 70 rows of 7 keys, ids ")), "{output:?}");
    assert_eq!((read(&topic).await.len(), db.count("outbox_archive").await), (70, 70));
    let early = ["republish", "--topic", &topic, "--dry-run", "--to", "2020-01-01", "--incomplete"];
    let nothing = outbox_relay(&db, &early).await;
    assert!(said(&nothing.stdout).contains("nothing of"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_window_is_sent_and_it_may_not_begin_where_the_archive_lacks_rows() {
    let topic = topic(&[]).await;
    let db = published(&topic, 0..70).await;
    commit(&db, rows(&topic, 70..140)).await;
    tokio::time::timeout(SOON, drain(keeping(&db))).await.unwrap();
    let (first, second) = halves(&db).await;
    let second_half = Window { from: Some(second), ..Window::whole(&topic) };
    assert_eq!(again(&db, &second_half).await.unwrap(), 70);
    let first_half = Window { from: Some(first), to: Some(second), ..Window::whole(&topic) };
    assert_eq!(again(&db, &first_half).await.unwrap(), 70);

    let early = Window { from: Some(first - Duration::from_hours(1)), ..Window::whole(&topic) };
    let told = again(&db, &early).await.unwrap_err().to_string();
    assert!(told.contains("the archive has all that was published since") && told.contains("--incomplete"), "{told}");
    assert_eq!(again(&db, &Window { incomplete: true, ..early }).await.unwrap(), 140);

    drain(RelayConfig { archive: None, ..keeping(&db) }).await;
    let told = again(&db, &Window::whole(&topic)).await.unwrap_err().to_string();
    assert!(told.contains("nothing is archived now"), "{told}");
    assert_eq!(read(&topic).await.len(), 140 + 140 + 140);
    assert_eq!(first_appearances(&read(&topic).await).len(), 7);
}

/// When the archive became whole, and a time between the rows of the two halves.
async fn halves(db: &TestDb) -> (DateTime<Utc>, DateTime<Utc>) {
    let times = "select (select whole_since from outbox_archive_state) as first,
        (select min(archived_at) from outbox_archive where ((headers ->> 1)::json ->> 1)::bigint >= 70) as second";
    db.row(times).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_without_a_row_is_an_error_and_a_window_is_read_across_partitions() {
    let topic = topic(&[]).await;
    let db = published(&topic, 0..70).await;
    let nothing = outbox_relay(&db, &["republish", "--topic", &topic, "--from", "2100-01-01"]).await;
    assert_eq!(nothing.status.code(), Some(1));
    assert!(said(&nothing.stderr).contains("nothing was sent"), "{nothing:?}");
    // as if half of them had been published two days ago
    let older = "create table older partition of outbox_archive for values from (now() - interval '3 days') to (now() - interval '1 day');
        update outbox_archive_state set whole_since = now() - interval '3 days';
        update outbox_archive set archived_at = archived_at - interval '2 days'
            where id <= (select percentile_disc(0.5) within group (order by id) from outbox_archive)";
    db.run(older).await;
    assert!(holds(&db, "(select count(distinct tableoid) = 2 from outbox_archive)").await);
    let before = read(&topic).await;
    lose(&topic).await;
    assert_eq!(again(&db, &Window::whole(&topic)).await.unwrap(), 70);
    assert_eq!(read(&topic).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_consumers_may_have_forgotten_is_sent_only_if_that_is_meant() {
    let topic = topic(&[]).await;
    let db = published(&topic, 0..70).await;
    let old = format!(
        "create table old_40 partition of outbox_archive for values from (current_date - 40) to (current_date - 39);
        insert into outbox_archive (id, event_id, topic, key, headers, payload, created_at, archived_at)
            values (1, gen_random_uuid(), '{topic}', 'old', '[]', '', now(), current_date - 40)"
    );
    db.run(&old).await;
    let all = Window { from: Some(Utc::now() - TimeDelta::days(41)), incomplete: true, ..Window::whole(&topic) };
    let told = again(&db, &all).await.unwrap_err().to_string();
    assert!(told.contains("consumers made with service-kit remember ") && told.contains("--older"), "{told}");
    let dry =
        outbox_relay(&db, &["republish", "--topic", &topic, "--from", "2026-01-01", "--incomplete", "--dry-run"]).await;
    assert!(said(&dry.stdout).contains("it would be refused: rows of"), "{dry:?}");
    assert_eq!(again(&db, &Window { from: Some(Utc::now() - TimeDelta::days(13)), ..all.clone() }).await.unwrap(), 70);
    assert_eq!(again(&db, &Window { older: true, ..all }).await.unwrap(), 71);
}
