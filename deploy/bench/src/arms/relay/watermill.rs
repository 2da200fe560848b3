//! Watermill, the relay that one finds for Go: its SQL subscriber and its Kafka publisher, put together in `peers/watermill` as
//! its documentation says. It reads a table of its own, and is measured from the commit of the rows, when it waits already.

use std::{fs, path::PathBuf, process::Stdio, time::Instant};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use quadrille_servers::process::ServerProcess;
use tokio::process::Command;

use super::limits::per_second;
use super::rows::{DATABASE, Rows};
use super::{PATIENCE, drained};
use crate::results::Results;
use crate::stage::{Stage, number, until};
use crate::usage;

const SOURCES: [(&str, &str); 3] = [
    ("main.go", include_str!("../../../peers/watermill/main.go")),
    ("go.mod", include_str!("../../../peers/watermill/go.mod")),
    ("go.sum", include_str!("../../../peers/watermill/go.sum")),
];

pub async fn build(stage: &Stage) -> anyhow::Result<PathBuf> {
    let folder = stage.folder.join("watermill");
    fs::create_dir_all(&folder)?;
    for (name, text) in SOURCES {
        fs::write(folder.join(name), text)?;
    }
    let program = folder.join("relay");
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(&program).arg(".").current_dir(&folder).stdin(Stdio::null());
    let built = go.output().await.context("starting go")?;
    if !built.status.success() {
        bail!("go build failed: {}", String::from_utf8_lossy(&built.stderr).lines().last().unwrap_or_default());
    }
    Ok(program)
}

pub async fn round(
    stage: &Stage,
    rows: &Rows,
    program: &PathBuf,
    count: i64,
    results: &mut Results,
) -> anyhow::Result<()> {
    let topic = rows.topic(stage).await?;
    let from = topic.replace('.', "_");
    let mut command = Command::new(program);
    command.env("DATABASE_URL", format!("{}?sslmode=disable", stage.postgres.url(DATABASE)));
    command.env("KAFKA_BOOTSTRAP_SERVERS", stage.kafka.bootstrap()).env("FROM", &from).env("TO", &topic);
    let mut process = ServerProcess::spawn("Watermill", command, &stage.folder.join("watermill.log"))?;
    let pid = process.identity().pid;
    let (admin, table) = (stage.admin(DATABASE).await?, format!("watermill_{from}"));
    let made = format!("select count(*) from pg_tables where tablename in ('{table}', 'watermill_offsets_{from}')");
    let ready = until("Watermill has made its tables", PATIENCE, async || {
        process.must_live()?;
        Ok(number(&admin, &made).await? == 2)
    });
    ready.await?;
    let insert = format!(
        "insert into {table} (uuid, payload, metadata, transaction_id) \
         select event_id::text, convert_from(payload, 'UTF8')::json, \
            (select jsonb_object_agg(pair ->> 0, pair ->> 1) from json_array_elements(headers::json) pair) \
                || jsonb_build_object('key', key), pg_current_xact_id() \
         from kept where n < {count} order by n"
    );
    admin.batch_execute(&insert).await?;
    let (began, cpu) = (Instant::now(), usage::cpu(pid));
    drained(stage, rows, &topic, count).await.map_err(|error| anyhow::anyhow!("{error:#}{}", process.last_words()))?;
    results.add("relay/watermill/rows_per_second", per_second(count, began.elapsed().as_secs_f64()));
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let used = (usage::cpu(pid) - cpu).as_secs_f64() * 1_000_000.0 / count as f64;
    results.add("relay/watermill/cpu/us_per_row", used);
    if let Some((_, most)) = usage::memory(pid) {
        results.add("relay/watermill/memory_mb", most);
    }
    process.stop(Signal::SIGTERM, PATIENCE, Signal::SIGKILL).await?;
    rows.must_have_arrived(stage, &topic, count, "Watermill", results).await
}
