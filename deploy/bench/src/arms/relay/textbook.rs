//! The relay that one finds in books: takes pending rows with FOR UPDATE SKIP LOCKED, publishes them, marks them published.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::limits::{headers_of, per_second, producer_settings};
use super::rows::{DATABASE, Rows};
use crate::{results::Results, stage::Stage};

const PATIENCE: Duration = Duration::from_secs(60);
/// Of one that awaits each acknowledgement before it sends the next.
const TAKEN: i64 = 100;

/// Publishes so many rows; a whole batch at once, or where there is none each row after the one before.
pub async fn run(
    stage: &Stage,
    rows: &Rows,
    name: &str,
    count: i64,
    batch: Option<i64>,
    results: &mut Results,
) -> anyhow::Result<()> {
    let topic = rows.fill(stage, "textbook", count).await?;
    let mut client = stage.admin(DATABASE).await?;
    let mut settings = producer_settings(stage);
    if batch.is_none() {
        settings.set("linger.ms", "0");
    }
    let producer: FutureProducer = settings.create()?;
    let take = client
        .prepare(
            "select id, topic, key, headers, payload from textbook where published_at is null \
             order by id limit $1 for update skip locked",
        )
        .await?;
    let mark = client.prepare("update textbook set published_at = now() where id = any($1)").await?;
    let began = Instant::now();
    loop {
        let transaction = client.transaction().await?;
        let taken = transaction.query(&take, &[&batch.unwrap_or(TAKEN)]).await?;
        if taken.is_empty() {
            break;
        }
        let send = async |row: &tokio_postgres::Row| {
            let (topic, key, payload): (&str, &str, &[u8]) = (row.get(1), row.get(2), row.get(4));
            let record = FutureRecord::to(topic).key(key).payload(payload).headers(headers_of(row.get(3))?);
            producer.send(record, PATIENCE).await.map_err(|(error, _)| error)?;
            anyhow::Ok(())
        };
        if batch.is_some() {
            try_join_all(taken.iter().map(send)).await?;
        } else {
            for row in &taken {
                send(row).await?;
            }
        }
        let ids: Vec<i64> = taken.iter().map(|row| row.get(0)).collect();
        transaction.execute(&mark, &[&ids]).await?;
        transaction.commit().await?;
    }
    results.add(format!("relay/{name}/rows_per_second"), per_second(count, began.elapsed().as_secs_f64()));
    rows.must_have_arrived(stage, &topic, count, name, results).await
}
