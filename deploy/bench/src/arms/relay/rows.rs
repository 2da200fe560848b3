//! Rows to publish: one that order-svc wrote, multiplied with keys, ids and sequences of their own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::http::Connection;
use crate::results::Results;
use crate::shop::{self, list_products};
use crate::stage::{PARTITIONS, Program, Stage, number};
use crate::watch::Watch;

/// Where the outbox is that is drained.
pub const DATABASE: &str = "drained";
/// Each key has as many rows.
const ROWS_A_KEY: i64 = 4;
const PATIENCE: Duration = Duration::from_secs(120);

/// The rows, kept in a table beside the outbox.
pub struct Rows {
    pub count: i64,
    topics: AtomicU32,
    client: Mutex<Option<std::sync::Arc<BaseConsumer>>>,
}

impl Rows {
    /// Has order-svc write one, and multiplies it.
    pub async fn make(stage: &Stage, count: i64) -> anyhow::Result<Self> {
        let stock = stage.start(Program::StockSvc, &[]).await?;
        let orders = stage.start(Program::OrderSvc, &[("RELAY", "external".to_owned())]).await?;
        list_products(stage, stock.port, 0..2).await?;
        shop::place(&mut Connection::open(orders.port).await?, 0, 2).await?;
        orders.stop().await?;
        stock.stop().await?;
        stage.copy_database(Program::OrderSvc.database(), DATABASE).await?;
        let admin = stage.admin(DATABASE).await?;
        let keys = (count / ROWS_A_KEY).max(1);
        let made = format!(
            "create unlogged table kept as select n, made.event_id, made.key,
                replace(replace(replace(o.headers::text, o.key, made.key), o.event_id::text, made.event_id::text),
                    '00000000000000000001', lpad((n / {keys} + 1)::text, 20, '0')) as headers,
                convert_to(replace(convert_from(o.payload, 'UTF8'), o.key, made.key), 'UTF8') as payload
            from (select * from outbox limit 1) o, generate_series(0, {count} - 1) n,
                lateral (select overlay(o.key placing lpad(to_hex(n % {keys}), 12, '0') from 25) as key,
                    overlay(o.event_id::text placing lpad(to_hex(n), 12, '0') from 25)::uuid as event_id) made;
            create table textbook (id bigint generated always as identity primary key, topic text not null, key text not null,
                headers text not null, payload bytea not null, published_at timestamptz);
            create index textbook_pending on textbook (id) where published_at is null;
            vacuum analyze kept"
        );
        for statement in made.split(';') {
            admin.batch_execute(statement).await.with_context(|| statement.to_owned())?;
        }
        Ok(Self { count, topics: AtomicU32::new(0), client: Mutex::new(None) })
    }

    pub async fn topic(&self, stage: &Stage) -> anyhow::Result<String> {
        let topic = format!("drained.{}", self.topics.fetch_add(1, Ordering::Relaxed));
        stage.make_topics([(topic.clone(), false)].into_iter()).await?;
        Ok(topic)
    }

    /// Puts the first so many of them into a table, for a new topic, whose name it returns.
    pub async fn fill(&self, stage: &Stage, table: &str, count: i64) -> anyhow::Result<String> {
        let topic = self.topic(stage).await?;
        let admin = stage.admin(DATABASE).await?;
        admin.batch_execute(&format!("truncate {table}")).await?;
        self.insert(stage, table, &topic, count).await?;
        admin.batch_execute(&format!("vacuum analyze {table}")).await?;
        admin.batch_execute("checkpoint").await?;
        Ok(topic)
    }

    /// Appends them; where it is to be more than there are, again and again.
    pub async fn insert(&self, stage: &Stage, table: &str, topic: &str, count: i64) -> anyhow::Result<()> {
        let (column, value, cast) =
            if table == "outbox" { ("event_id, ", "event_id, ", "::json") } else { ("", "", "") };
        let times = (count + self.count - 1) / self.count;
        let insert = format!(
            "insert into {table} ({column}topic, key, headers, payload) \
             select {value}'{topic}', key, headers{cast}, payload from generate_series(1, {times}) again, kept \
             order by again, n limit {count}"
        );
        Ok(stage.admin(DATABASE).await?.batch_execute(&insert).await?)
    }

    /// How many records a topic has.
    pub async fn in_topic(&self, stage: &Stage, topic: &str) -> anyhow::Result<i64> {
        let client = {
            let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
            let made = match kept.take() {
                Some(client) => client,
                None => std::sync::Arc::new(
                    ClientConfig::new().set("bootstrap.servers", stage.kafka.bootstrap()).create::<BaseConsumer>()?,
                ),
            };
            kept.insert(made).clone()
        };
        let topic = topic.to_owned();
        tokio::task::spawn_blocking(move || {
            let end = |partition| anyhow::Ok(client.fetch_watermarks(&topic, partition, PATIENCE)?.1);
            (0..PARTITIONS).map(end).sum()
        })
        .await?
    }

    /// Every row is there once, and each key's rows are in order.
    pub async fn must_have_arrived(
        &self,
        stage: &Stage,
        topic: &str,
        count: i64,
        who: &str,
        results: &mut Results,
    ) -> anyhow::Result<()> {
        let there = self.in_topic(stage, topic).await?;
        results.must(there == count, || format!("{who}: of {count} rows, {there} are in the topic"));
        let watch = Watch::start(&stage.kafka.bootstrap(), &[topic])?;
        let all = usize::try_from(there)?;
        crate::stage::until("the topic is read", PATIENCE, async || Ok(watch.records() >= all)).await?;
        let (admin, query) =
            (stage.admin(DATABASE).await?, format!("select count(distinct key) from kept where n < {count}"));
        let (keys, found) = (number(&admin, &query).await?, watch.keys());
        results.must(i64::try_from(found)? == keys, || format!("{who}: of {keys} keys, {found} are in the topic"));
        for fault in watch.faults() {
            results.must(false, || format!("{who}: {fault}"));
        }
        Ok(())
    }
}
