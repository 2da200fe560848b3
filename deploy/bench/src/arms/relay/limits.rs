//! What limits a relay: a producer that has the rows in memory, and the SQL that reads and deletes them.

use std::time::{Duration, Instant};

use anyhow::Context;
use outbox_relay::{NullPublisher, Relay, RelayConfig};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::rows::{DATABASE, Rows};
use crate::results::Results;
use crate::stage::{Stage, number, until};

const PATIENCE: Duration = Duration::from_secs(300);

/// A row as a producer needs it.
pub struct Record {
    pub key: String,
    pub headers: OwnedHeaders,
    pub payload: Vec<u8>,
}

/// A producer that promises what the relay's does, told as the relay tells its own where it is a matter of speed.
pub fn producer_settings(stage: &Stage) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", stage.kafka.bootstrap())
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "1")
        .set("compression.type", "lz4")
        .set("queue.buffering.max.messages", "100000");
    config
}

pub fn headers_of(pairs: &str) -> anyhow::Result<OwnedHeaders> {
    let pairs: Vec<(String, String)> = serde_json::from_str(pairs).context("headers are pairs")?;
    let with = |all: OwnedHeaders, (key, value): &(String, String)| all.insert(Header { key, value: Some(value) });
    Ok(pairs.iter().fold(OwnedHeaders::new_with_capacity(pairs.len()), with))
}

pub async fn raw_producer(stage: &Stage, rows: &Rows, results: &mut Results) -> anyhow::Result<()> {
    let topic = rows.topic(stage).await?;
    let read = "select /* quadrille-bench */ key, headers, payload from kept order by n";
    let records = stage.admin(DATABASE).await?.query(read, &[]).await?;
    let records =
        records.iter().map(|row| Ok(Record { key: row.get(0), headers: headers_of(row.get(1))?, payload: row.get(2) }));
    let records = records.collect::<anyhow::Result<Vec<_>>>()?;
    let producer: ThreadedProducer<DefaultProducerContext> = producer_settings(stage).create()?;
    producer.client().fetch_metadata(Some(&topic), PATIENCE)?;
    let to = topic.clone();
    let seconds = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        for Record { key, headers, payload } in records {
            let mut record = BaseRecord::to(&to).key(&key).payload(&payload).headers(headers);
            while let Err((error, refused)) = producer.send(record) {
                anyhow::ensure!(error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), "{error}");
                record = refused;
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        producer.flush(PATIENCE)?;
        anyhow::Ok(began.elapsed().as_secs_f64())
    })
    .await??;
    results.add("relay/raw_producer/rows_per_second", per_second(rows.count, seconds));
    rows.must_have_arrived(stage, &topic, rows.count, "the raw producer", results).await
}

/// Reads in order of id and deletes by id, one after the other, with nothing between.
pub async fn bare_sql(stage: &Stage, rows: &Rows, results: &mut Results) -> anyhow::Result<()> {
    rows.fill(stage, "outbox", rows.count).await?;
    let client = stage.admin(DATABASE).await?;
    client.batch_execute("set synchronous_commit = off").await?;
    let read = client
        .prepare("select id, topic, key, headers::text, payload from outbox where id > $1 order by id limit 2000")
        .await?;
    let delete = client.prepare("delete from outbox where id = any($1)").await?;
    let (began, mut after) = (Instant::now(), 0_i64);
    loop {
        let batch = client.query(&read, &[&after]).await?;
        let Some(last) = batch.last() else { break };
        after = last.get(0);
        let ids: Vec<i64> = batch.iter().map(|row| row.get(0)).collect();
        client.execute(&delete, &[&ids]).await?;
    }
    results.add("relay/bare_sql/rows_per_second", per_second(rows.count, began.elapsed().as_secs_f64()));
    Ok(())
}

/// The relay with all its care, and nobody to publish to.
pub async fn null_publisher(stage: &Stage, rows: &Rows, results: &mut Results) -> anyhow::Result<()> {
    rows.fill(stage, "outbox", rows.count).await?;
    let (admin, stop) = (stage.admin(DATABASE).await?, CancellationToken::new());
    let url = SecretString::from(stage.postgres.url(DATABASE));
    let relay = Relay::new(RelayConfig::new("null", url, stage.kafka.bootstrap()), NullPublisher::default());
    let began = Instant::now();
    let running = tokio::spawn(relay.run(stop.clone()));
    until("the outbox is empty", PATIENCE, async || {
        Ok(number(&admin, "select count(*) from (select from outbox limit 1) pending").await? == 0)
    })
    .await?;
    let seconds = began.elapsed().as_secs_f64();
    stop.cancel();
    running.await?;
    results.add("relay/null_publisher/rows_per_second", per_second(rows.count, seconds));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "hundreds of thousands")]
pub fn per_second(rows: i64, seconds: f64) -> f64 {
    rows as f64 / seconds
}
