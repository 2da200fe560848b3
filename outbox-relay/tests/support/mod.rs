//! What the relay's tests share: a database with history, topics, an independent reader.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

pub mod spoiler;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use outbox_relay::{Bound, NewRow, RelayConfig, append_all};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use secrecy::SecretString;
use service_kit::testing::{TestDb, kafka_bootstrap, unique};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const SOON: Duration = Duration::from_secs(60);

/// A database whose outbox has seen use: dead rows at its front, gaps of transactions that were rolled back.
pub async fn used_database() -> TestDb {
    let db = TestDb::new(&[outbox_relay::MIGRATIONS]).await;
    let mut conn = db.conn().await;
    conn.batch_execute(
        "insert into outbox (event_id, topic, key, headers, payload)
            select gen_random_uuid(), 'gone', 'k', '[]', repeat('x', 200)::bytea from generate_series(1, 20000);
        delete from outbox;",
    )
    .await
    .unwrap();
    roll_back_some(&mut conn).await;
    drop(conn);
    db
}

async fn roll_back_some(conn: &mut AsyncPgConnection) {
    let rolled_back: Result<(), diesel::result::Error> = conn
        .transaction(async |conn| {
            append_all(conn, vec![row("gone", "k", 1), row("gone", "k", 2)]).await.unwrap();
            Err(diesel::result::Error::RollbackTransaction)
        })
        .await;
    assert!(rolled_back.is_err());
}

pub fn row(topic: &str, key: &str, number: usize) -> NewRow {
    let event_id = Uuid::now_v7();
    NewRow {
        event_id,
        topic: topic.to_owned(),
        key: key.to_owned(),
        headers: vec![("id".to_owned(), event_id.to_string()), ("n".to_owned(), number.to_string())],
        payload: format!(r#"{{"n":{number}}}"#).into_bytes(),
    }
}

pub fn large(topic: &str, key: &str, number: usize, bytes: usize) -> NewRow {
    // As good as random, or compression would make it small again.
    let chunk = |n: usize| Uuid::new_v5(&Uuid::nil(), &n.to_le_bytes()).simple().to_string();
    let payload = (0..bytes / 32 + 1).map(chunk).collect::<String>();
    NewRow { payload: payload.into_bytes(), ..row(topic, key, number) }
}

pub async fn commit(db: &TestDb, rows: Vec<NewRow>) {
    append_all(&*db.conn().await, rows).await.unwrap();
}

/// Quick to poll and to take over, with batches small enough that there are several.
pub fn config(db: &TestDb, bootstrap: &str) -> RelayConfig {
    let mut config = RelayConfig::new(unique("relay"), SecretString::from(db.url.clone()), bootstrap);
    config.batch = Bound { rows: 100, bytes: 1 << 20 };
    config.in_flight = Bound { rows: 400, bytes: 4 << 20 };
    config.idle = Duration::from_millis(20);
    config.head_check = Duration::ZERO;
    config.upkeep = Duration::from_millis(50);
    config.standby = Duration::from_millis(50);
    config
}

pub fn relay_to_tests_kafka(db: &TestDb) -> RelayConfig {
    config(db, &kafka_bootstrap())
}

pub async fn topic(settings: &[(&str, &str)]) -> String {
    topic_at(&kafka_bootstrap(), settings).await
}

pub async fn topic_at(bootstrap: &str, settings: &[(&str, &str)]) -> String {
    let name = unique("relayed");
    make_topic(bootstrap, &name, settings).await;
    name
}

/// A topic in which all keys share one partition.
pub async fn narrow_topic(settings: &[(&str, &str)]) -> String {
    let name = unique("relayed");
    make_topic_of(&kafka_bootstrap(), &name, 1, settings).await;
    name
}

pub async fn make_topic(bootstrap: &str, name: &str, settings: &[(&str, &str)]) {
    make_topic_of(bootstrap, name, 3, settings).await;
}

async fn make_topic_of(bootstrap: &str, name: &str, partitions: i32, settings: &[(&str, &str)]) {
    let new = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let new = settings.iter().fold(new, |new, (key, value)| new.set(key, value));
    for made in admin(bootstrap).create_topics([&new], &AdminOptions::new()).await.unwrap() {
        made.unwrap();
    }
}

pub fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap()
}

/// A record as an independent client finds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub key: String,
    pub number: usize,
    pub headers: Vec<(String, String)>,
    pub payload: Vec<u8>,
}

/// Everything in the topic now.
pub async fn read(topic: &str) -> Vec<Found> {
    read_at(&kafka_bootstrap(), topic).await
}

pub async fn read_at(bootstrap: &str, topic: &str) -> Vec<Found> {
    let (bootstrap, topic) = (bootstrap.to_owned(), topic.to_owned());
    tokio::task::spawn_blocking(move || read_blocking(&bootstrap, &topic)).await.unwrap()
}

fn read_blocking(bootstrap: &str, topic: &str) -> Vec<Found> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", unique("reader"))
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut found = Vec::new();
    for partition in 0..3 {
        let Ok((low, high)) = consumer.fetch_watermarks(topic, partition, SOON) else { continue };
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(low)).unwrap();
        consumer.assign(&list).unwrap();
        let deadline = Instant::now() + SOON;
        let mut next = low;
        while next < high && Instant::now() < deadline {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                next = message.offset() + 1;
                found.push(found_in(&message));
            }
        }
    }
    found
}

fn found_in(message: &impl Message) -> Found {
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
    let headers: Vec<(String, String)> = message
        .headers()
        .map(|headers| headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect())
        .unwrap_or_default();
    let number = headers.iter().find(|header| header.0 == "n").unwrap().1.parse().unwrap();
    Found { key: text(message.key()), number, headers, payload: message.payload().unwrap().to_vec() }
}

/// The numbers of each key in the order of their first appearance: what a consumer that drops duplicates sees.
pub fn first_appearances(found: &[Found]) -> BTreeMap<String, Vec<usize>> {
    let mut keys: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for Found { key, number, .. } in found {
        let numbers = keys.entry(key.clone()).or_default();
        if !numbers.contains(number) {
            numbers.push(*number);
        }
    }
    keys
}

pub async fn holds(db: &TestDb, condition: &str) -> bool {
    db.row(&format!("select ({condition})")).await
}

/// Others at work on the same outbox, some of whom change their mind, until it is dropped.
pub struct Traffic {
    stop: CancellationToken,
    work: Option<JoinHandle<usize>>,
}

impl Traffic {
    pub fn start(db: &TestDb, topic: &str) -> Self {
        let (stop, pool, topic) = (CancellationToken::new(), db.pool.clone(), topic.to_owned());
        let stopped = stop.clone();
        let work = tokio::spawn(async move {
            let mut number = 0;
            while !stopped.is_cancelled() {
                let mut conn = pool.get().await.unwrap();
                append_all(&conn, (0..5).map(|key| row(&topic, &format!("traffic-{key}"), number)).collect())
                    .await
                    .unwrap();
                number += 1;
                roll_back_some(&mut conn).await;
            }
            number
        });
        Self { stop, work: Some(work) }
    }

    /// Ends it and says how many rows each of its five keys has.
    pub async fn end(mut self) -> usize {
        self.stop.cancel();
        self.work.take().unwrap().await.unwrap()
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
