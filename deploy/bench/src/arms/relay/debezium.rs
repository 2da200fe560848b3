//! Debezium: Kafka Connect standalone, its connector for PostgreSQL and its outbox event router, tuned as its documentation
//! says for throughput: larger batches and queues, no pause between polls, a producer that collects for a moment. It reads the
//! very same outbox. It is measured from the commit of the rows, when it runs and waits already.

use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::Signal;
use quadrille_servers::kafka::connect;
use tokio_postgres::Config;

use super::drained;
use super::limits::per_second;
use super::rows::{DATABASE, Rows};
use crate::results::Results;
use crate::stage::{Stage, number, until};
use crate::usage;

const HEAP: &str = "-Xmx1g";
const PATIENCE: Duration = Duration::from_secs(120);

pub async fn round(stage: &Stage, rows: &Rows, round: usize, results: &mut Results) -> anyhow::Result<()> {
    let topic = rows.topic(stage).await?;
    let admin = stage.admin(DATABASE).await?;
    admin.batch_execute("truncate outbox").await?;
    let slot = format!("debezium_{round}");
    let folder = stage.folder.join(&slot);
    let mut process =
        connect::start(&folder, &[HEAP], &worker(stage, &folder.display().to_string()), &connector(stage, &slot)?)
            .await?;
    let reads = format!("select count(*) from pg_replication_slots where slot_name = '{slot}' and active");
    let ready = until("Debezium reads its slot", PATIENCE, async || {
        process.must_live()?;
        Ok(number(&admin, &reads).await? == 1)
    });
    ready.await.map_err(|error| anyhow::anyhow!("{error:#}{}", process.last_words()))?;
    let pid = process.identity().pid;
    rows.insert(stage, "outbox", &topic, rows.count).await?;
    let (began, cpu) = (Instant::now(), usage::cpu(pid));
    let drained = drained(stage, rows, &topic, rows.count).await;
    let drained = drained.map_err(|error| anyhow::anyhow!("{error:#}{}", process.last_words()))?;
    results.add("relay/debezium/rows_per_second", per_second(rows.count, began.elapsed().as_secs_f64()));
    results.add("relay/debezium/steady_rows_per_second", drained.steady());
    #[expect(clippy::cast_precision_loss, reason = "hundreds of thousands")]
    let used = (usage::cpu(pid) - cpu).as_secs_f64() * 1_000_000.0 / rows.count as f64;
    results.add("relay/debezium/cpu/us_per_row", used);
    if let Some((_, most)) = usage::memory(pid) {
        results.add("relay/debezium/memory_mb", most);
    }
    process.stop(Signal::SIGTERM, PATIENCE, Signal::SIGKILL).await?;
    admin.batch_execute(&format!("select pg_drop_replication_slot('{slot}')")).await?;
    admin.batch_execute(&format!("drop publication {slot}")).await?;
    rows.must_have_arrived(stage, &topic, rows.count, "Debezium", results).await
}

fn worker(stage: &Stage, folder: &str) -> Vec<(&'static str, String)> {
    vec![
        ("bootstrap.servers", stage.kafka.bootstrap()),
        ("listeners", "http://127.0.0.1:0".to_owned()),
        ("offset.storage.file.filename", format!("{folder}/offsets")),
        ("offset.flush.interval.ms", "1000".to_owned()),
        ("plugin.discovery", "only_scan".to_owned()),
        ("key.converter", "org.apache.kafka.connect.storage.StringConverter".to_owned()),
        ("value.converter", "org.apache.kafka.connect.converters.ByteArrayConverter".to_owned()),
        ("header.converter", "org.apache.kafka.connect.storage.StringConverter".to_owned()),
        // what a Connect cluster would allow in earnest
        ("connector.client.config.override.policy", "All".to_owned()),
    ]
}

fn connector(stage: &Stage, slot: &str) -> anyhow::Result<Vec<(&'static str, String)>> {
    let url: Config = stage.postgres.url(DATABASE).parse()?;
    let password = url.get_password().context("the server has a password")?;
    let plain = [
        ("name", slot),
        ("connector.class", "io.debezium.connector.postgresql.PostgresConnector"),
        ("tasks.max", "1"),
        ("database.hostname", "127.0.0.1"),
        ("database.user", "postgres"),
        ("database.dbname", DATABASE),
        ("topic.prefix", slot),
        ("plugin.name", "pgoutput"),
        ("slot.name", slot),
        ("publication.name", slot),
        ("publication.autocreate.mode", "filtered"),
        ("snapshot.mode", "no_data"),
        ("table.include.list", "public.outbox"),
        ("tombstones.on.delete", "false"),
        ("skipped.operations", "u,d,t"),
        ("max.batch.size", "16384"),
        ("max.queue.size", "65536"),
        ("poll.interval.ms", "10"),
        ("binary.handling.mode", "bytes"),
        ("producer.override.linger.ms", "5"),
        ("producer.override.batch.size", "524288"),
        ("producer.override.buffer.memory", "67108864"),
        ("producer.override.compression.type", "lz4"),
        ("transforms", "outbox"),
        ("transforms.outbox.type", "io.debezium.transforms.outbox.EventRouter"),
        ("transforms.outbox.table.field.event.id", "event_id"),
        ("transforms.outbox.table.field.event.key", "key"),
        ("transforms.outbox.table.field.event.payload", "payload"),
        ("transforms.outbox.table.fields.additional.placement", "headers:header:headers"),
        ("transforms.outbox.route.by.field", "topic"),
        ("transforms.outbox.route.topic.replacement", "${routedByValue}"),
    ];
    let mut settings: Vec<_> = plain.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    settings.push(("database.port", stage.postgres.port().to_string()));
    settings.push(("database.password", String::from_utf8_lossy(password).into_owned()));
    Ok(settings)
}
