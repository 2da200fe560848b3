//! Twenty times a relay begins from nothing: its database, its topic and its producer are new, and rows are committed before
//! it starts. Then every row that it archived as published is looked up in the topic.
//!
//! Apache Kafka takes any first sequence number from a producer that it doesn't know, so that an error in the first request
//! of a partition could lose a row that was acknowledged. A relay that has published before never shows that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use diesel_async::SimpleAsyncConnection;
use nix::sys::signal::Signal;
use outbox_relay::NewRow;
use quadrille::audit::sql::Snapshot;
use quadrille::cluster::{ANSWER, Cluster};
use quadrille::records;
use quadrille_servers::{Durability, Kafka, Postgres, kafka, postgres, process::ServerProcess};
use rdkafka::Message;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::message::Headers;
use serde::Deserialize;
use service_kit::{migrate::migrate, pool};
use tokio::process::Command;
use uuid::Uuid;

use crate::accept::points::until;

const ROUNDS: usize = 20;
const PARTITIONS: i32 = 3;
/// So many that each partition has some.
const KEYS: usize = 30;
const ROWS: usize = 120;
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// A database with the outbox's tables, of which each round gets a copy.
const TEMPLATE: &str = "from_nothing";

pub(in crate::accept) async fn try_out(binary: &Path, data: &Path) -> anyhow::Result<String> {
    let folder = data.join("from-nothing");
    fs::create_dir(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o711))?; // PostgreSQL's user goes through it
    let durability = Durability::Tests;
    let kafka = kafka::Options { folder: folder.join("kafka"), port: None, durability, jars: None };
    let postgres = postgres::Options { folder: folder.join("postgres"), port: None, durability };
    let (kafka, postgres) = (Kafka::start(&kafka).await?, Postgres::start(&postgres).await?);
    let beginning = Beginning {
        program: binary.with_file_name("outbox-relay"),
        log: folder.join("outbox-relay.log"),
        cluster: Cluster(kafka.bootstrap().as_str().into()),
        postgres: &postgres,
    };
    let admin = pool::connect(&postgres.url("postgres")).await?;
    let (mut admin, began, mut twice) = (admin, Instant::now(), 0);
    admin.batch_execute(&format!("create database {TEMPLATE}")).await?;
    migrate(&postgres.url(TEMPLATE).into(), &[outbox_relay::MIGRATIONS]).await?;
    for round in 1..=ROUNDS {
        let name = format!("{TEMPLATE}_{round}");
        admin.batch_execute(&format!("create database {name} template {TEMPLATE}")).await?;
        twice += beginning.round(&name).await.with_context(|| format!("time {round} of {ROUNDS}"))?;
    }
    let took = began.elapsed().as_secs_f64();
    drop(admin);
    postgres.stop(STOP_PATIENCE).await?;
    kafka.stop(STOP_PATIENCE).await?;
    Ok(format!(
        "{ROUNDS} times a new relay on a new topic, in {took:.1} s: {} rows in {} new partitions archived as published, all of \
         them in their topic, each key's in order, {twice} twice",
        ROUNDS * ROWS,
        ROUNDS * usize::try_from(PARTITIONS)?,
    ))
}

/// What a relay begins with.
struct Beginning<'a> {
    program: PathBuf,
    log: PathBuf,
    cluster: Cluster,
    postgres: &'a Postgres,
}

/// A row, as the archive or the topic has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Row {
    event_id: String,
    key: String,
    payload: String,
}

#[derive(Debug, Deserialize)]
struct Left {
    rows: usize,
}

impl Beginning<'_> {
    /// The name is that of the database and of the topic. Returns how many rows are in the topic twice.
    async fn round(&self, name: &str) -> anyhow::Result<usize> {
        let url = self.postgres.url(name);
        let rows = (0..ROWS).map(|number| row(name, number)).collect();
        outbox_relay::append_all(&pool::connect(&url).await?, rows).await?;
        self.make_topic(name).await?;
        let relay = self.start(&url)?;
        let published = async || {
            let left: Vec<Left> = read(&url, "select count(*) as rows from outbox").await?;
            let left = left.first().map_or(0, |left| left.rows);
            ensure!(left == 0, "{left} rows are not published");
            Ok(())
        };
        until(published).await.with_context(|| relay.last_words())?;
        relay.stop(Signal::SIGTERM, STOP_PATIENCE, Signal::SIGKILL).await?;
        let archived: Vec<Row> = read(
            &url,
            "select event_id, key, convert_from(payload, 'utf8') as payload from outbox_archive order by id",
        )
        .await?;
        ensure!(archived.len() == ROWS, "{} of {ROWS} rows are archived", archived.len());
        must_hold(&self.published(name).await?, &archived)
    }

    async fn make_topic(&self, name: &str) -> anyhow::Result<()> {
        let admin: rdkafka::admin::AdminClient<rdkafka::client::DefaultClientContext> =
            self.cluster.client().create()?;
        let new = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1));
        for made in admin.create_topics([&new], &AdminOptions::new().operation_timeout(Some(ANSWER))).await? {
            made.map_err(|(topic, code)| anyhow::anyhow!("{topic} can't be made: {code}"))?;
        }
        Ok(())
    }

    fn start(&self, database: &str) -> anyhow::Result<ServerProcess> {
        let mut command = Command::new(&self.program);
        command.env("OUTBOX_RELAY_DATABASES", database).env("OUTBOX_RELAY_ARCHIVE", "1d");
        command.env("KAFKA_BOOTSTRAP_SERVERS", &self.cluster.0.bootstrap).env("METRICS_ADDR", "127.0.0.1:0");
        ServerProcess::spawn("outbox-relay", command, &self.log)
    }

    /// What is in the topic, with its partition.
    async fn published(&self, topic: &str) -> anyhow::Result<Vec<(i32, Row)>> {
        let (cluster, topic) = (self.cluster.clone(), topic.to_owned());
        tokio::task::spawn_blocking(move || {
            let connection = cluster.connect("quadrille-accept")?;
            let mut found = Vec::new();
            records::each_kept(&connection, &records::places(&connection, &[&topic])?, |message| {
                let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
                let id = message.headers().and_then(|headers| headers.iter().find(|header| header.key == "ce_id"));
                let event_id = text(id.and_then(|header| header.value));
                let row = Row { event_id, key: text(message.key()), payload: text(message.payload()) };
                found.push((message.partition(), row));
                Ok(())
            })?;
            Ok(found)
        })
        .await?
    }
}

fn row(topic: &str, number: usize) -> NewRow {
    let event_id = Uuid::now_v7();
    NewRow {
        event_id,
        topic: topic.to_owned(),
        key: format!("key-{}", number % KEYS),
        headers: vec![("ce_id".to_owned(), event_id.to_string())],
        payload: format!(r#"{{"number":{number}}}"#).into_bytes(),
    }
}

async fn read<T: serde::de::DeserializeOwned>(url: &str, query: &str) -> anyhow::Result<Vec<T>> {
    let mut snapshot = Snapshot::begin(url).await?;
    let rows = snapshot.rows(query).await?;
    snapshot.end().await?;
    Ok(rows)
}

/// Each archived row is in the topic as it is in the archive, and each key's rows come first in the order of the archive.
/// Returns how many rows come again.
fn must_hold(topic: &[(i32, Row)], archived: &[Row]) -> anyhow::Result<usize> {
    let mut there = BTreeMap::<&str, &Row>::new();
    let mut order = BTreeMap::<&str, Vec<&str>>::new();
    for (_, row) in topic {
        if there.insert(&row.event_id, row).is_none() {
            order.entry(&row.key).or_default().push(&row.event_id);
        }
    }
    let lost: Vec<_> = archived.iter().filter(|row| there.get(&*row.event_id) != Some(row)).collect();
    ensure!(lost.is_empty(), "{} rows are archived as published and are not in the topic: {lost:?}", lost.len());
    let mut wanted = BTreeMap::<&str, Vec<&str>>::new();
    for row in archived {
        wanted.entry(&row.key).or_default().push(&row.event_id);
    }
    ensure!(order == wanted, "the topic has {order:?}, in the order of the archive it were {wanted:?}");
    let filled: BTreeSet<_> = topic.iter().map(|(partition, _)| partition).collect();
    ensure!(filled.len() == usize::try_from(PARTITIONS)?, "only the partitions {filled:?} have rows");
    Ok(topic.len() - there.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Row by its number, its key and its partition.
    fn rows(of: &[(usize, &str, i32)]) -> Vec<(i32, Row)> {
        let row = |(number, key, partition): &(usize, &str, i32)| {
            let row = Row { event_id: number.to_string(), key: (*key).to_owned(), payload: format!("of {number}") };
            (*partition, row)
        };
        of.iter().map(row).collect()
    }

    #[test]
    fn a_row_that_is_lost_altered_or_overtaken_is_noticed_and_one_that_comes_again_is_counted() {
        let topic = rows(&[(1, "a", 0), (2, "a", 0), (3, "b", 1), (4, "c", 2)]);
        let archived: Vec<_> = topic.iter().map(|(_, row)| row.clone()).collect();
        let fails = |topic: &[(i32, Row)]| must_hold(topic, &archived).unwrap_err().to_string();
        assert_eq!(must_hold(&topic, &archived).unwrap(), 0);
        assert!(fails(&topic[1..]).starts_with("1 rows are archived as published and are not in the topic"));
        let mut altered = topic.clone();
        altered[3].1.payload.clear();
        assert!(fails(&altered).contains("not in the topic"));
        let mut overtaken = topic.clone();
        overtaken.swap(0, 1);
        assert!(fails(&overtaken).contains("in the order of the archive"));
        let again = [&topic[..], &topic[..1]].concat();
        assert_eq!(must_hold(&again, &archived).unwrap(), 1);
    }
}
