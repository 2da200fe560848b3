//! The relay's drain, beside what limits it (a raw producer with the same rows in memory; the bare SQL) and what else one would
//! take (the textbook's relay; peers). All of them publish the same rows: order-svc's own, multiplied. After each turn the topic
//! is read: every row must have arrived once, and each key's in order.

mod debezium;
mod limits;
mod rows;
mod textbook;
mod watermill;

use std::time::{Duration, Instant};

use tokio::time::sleep;

use self::rows::Rows;
use crate::results::Results;
use crate::stage::{Program, Stage, number};
use crate::{Bench, usage};

const PATIENCE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(20);
/// Logical decoding is for Debezium; the others don't use it.
const SETTINGS: [&str; 1] = ["wal_level=logical"];

pub async fn run(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    let settings: &[&str] = if bench.arguments.peers { &SETTINGS } else { &[] };
    bench.progress("making rows for the relay");
    let stage = Stage::open(bench, "relay", settings).await?;
    let rows = Rows::make(&stage, bench.sizes.drained_rows).await?;
    let few = bench.sizes.awaited_rows;
    for round in 1..=bench.sizes.rounds {
        bench.progress(&format!("relay drain, round {round}"));
        limits::raw_producer(&stage, &rows, results).await?;
        worker(&stage, &rows, "quadrille", &[], results).await?;
        worker(&stage, &rows, "archive", &[("OUTBOX_RELAY_ARCHIVE", "1d".to_owned())], results).await?;
        bench.progress(&format!("bare SQL and null publisher, round {round}"));
        limits::bare_sql(&stage, &rows, results).await?;
        limits::null_publisher(&stage, &rows, results).await?;
        bench.progress(&format!("the textbook's relay, round {round}"));
        textbook::run(&stage, &rows, "textbook_awaiting_each", few, None, results).await?;
        for batch in [1_000, 5_000] {
            textbook::run(&stage, &rows, &format!("textbook_batches_of_{batch}"), rows.count, Some(batch), results)
                .await?;
        }
    }
    best_batch(results);
    if bench.arguments.peers {
        peers(bench, &stage, &rows, results).await;
    } else {
        results.skipped.push("relays of others: they are run with --peers".to_owned());
    }
    stage.close().await
}

async fn peers(bench: &Bench, stage: &Stage, rows: &Rows, results: &mut Results) {
    for round in 1..=bench.sizes.long_rounds {
        bench.progress(&format!("Debezium, round {round}"));
        if let Err(error) = debezium::round(stage, rows, round, results).await {
            results.skipped.push(format!("Debezium: {error:#}"));
            break;
        }
    }
    bench.progress("building Watermill's relay");
    let program = match watermill::build(stage).await {
        Ok(program) => program,
        Err(error) => return results.skipped.push(format!("Watermill: {error:#}")),
    };
    for round in 1..=bench.sizes.long_rounds {
        bench.progress(&format!("Watermill, round {round}"));
        if let Err(error) = watermill::round(stage, rows, &program, bench.sizes.awaited_rows, results).await {
            return results.skipped.push(format!("Watermill: {error:#}"));
        }
    }
}

/// The better of the textbook's batches counts.
fn best_batch(results: &mut Results) {
    let rates = [1_000, 5_000].map(|batch| format!("relay/textbook_batches_of_{batch}/rows_per_second"));
    let best =
        rates.iter().max_by(|a, b| results.median(a).unwrap_or(0.0).total_cmp(&results.median(b).unwrap_or(0.0)));
    for value in best.and_then(|best| results.values.get(best)).cloned().unwrap_or_default() {
        results.add("relay/textbook_batches/rows_per_second", value);
    }
}

/// The worker, as a program of its own, from its start until the last row has left the outbox.
async fn worker(
    stage: &Stage,
    rows: &Rows,
    name: &str,
    more: &[(&str, String)],
    results: &mut Results,
) -> anyhow::Result<()> {
    let topic = rows.fill(stage, "outbox", rows.count).await?;
    let admin = stage.admin(rows::DATABASE).await?;
    let cpu = usage::cpu(stage.postgres.identity().pid);
    let database = ("OUTBOX_RELAY_DATABASES", stage.postgres.url(rows::DATABASE));
    let environment: Vec<_> = more.iter().cloned().chain([database]).collect();
    let began = Instant::now();
    let (running, drained) =
        tokio::join!(stage.start(Program::OutboxRelay, &environment), drained(stage, rows, &topic, rows.count));
    let (running, mut drained) = (running?, drained?);
    while number(&admin, "select count(*) from (select from outbox limit 1) pending").await? > 0 {
        anyhow::ensure!(began.elapsed() < PATIENCE, "the outbox is not empty after {PATIENCE:?}");
        sleep(POLL).await;
        drained.ended = Instant::now();
    }
    #[expect(clippy::cast_precision_loss, reason = "hundreds of thousands")]
    let count = rows.count as f64;
    results.add(format!("relay/{name}/rows_per_second"), count / (drained.ended - began).as_secs_f64());
    results.add(format!("relay/{name}/steady_rows_per_second"), drained.steady());
    let per_row = |used: Duration| used.as_secs_f64() * 1_000_000.0 / count;
    results.add(format!("relay/{name}/cpu/us_per_row"), per_row(usage::cpu(running.pid())));
    let postgres = usage::cpu(stage.postgres.identity().pid).saturating_sub(cpu);
    results.add(format!("relay/{name}/postgres_cpu/us_per_row"), per_row(postgres));
    if let Some((_, most)) = usage::memory(running.pid()) {
        results.add(format!("relay/{name}/memory_mb"), most);
    }
    running.stop().await?;
    rows.must_have_arrived(stage, &topic, rows.count, name, results).await
}

/// How a topic filled.
pub struct Drained {
    /// When a fifth was there, and how many rows that was.
    from: (Instant, i64),
    ended: Instant,
    count: i64,
}

impl Drained {
    /// Rows a second without the start.
    #[expect(clippy::cast_precision_loss, reason = "hundreds of thousands")]
    pub fn steady(&self) -> f64 {
        (self.count - self.from.1) as f64 / (self.ended - self.from.0).as_secs_f64().max(0.001)
    }
}

/// Waits until so many rows are in the topic.
pub async fn drained(stage: &Stage, rows: &Rows, topic: &str, count: i64) -> anyhow::Result<Drained> {
    let began = Instant::now();
    let mut from = None;
    loop {
        let there = rows.in_topic(stage, topic).await?;
        let now = Instant::now();
        if there >= count / 5 {
            let from = *from.get_or_insert((now, there.min(count - 1)));
            if there >= count {
                return Ok(Drained { from, ended: now, count });
            }
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "{there} of {count} rows are in {topic} after {PATIENCE:?}");
        sleep(POLL).await;
    }
}

/// The worker before more and more pending rows.
pub async fn growth(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    bench.progress("making rows for the relay's growth");
    let stage = Stage::open(bench, "growth", &[]).await?;
    let rows = Rows::make(&stage, bench.sizes.drained_rows).await?;
    // fewer are gone before a rate can be seen
    let steps: Vec<_> = bench.sizes.growth().into_iter().map(|count| count.max(bench.sizes.drained_rows)).collect();
    for round in 1..=bench.sizes.long_rounds {
        for count in &steps {
            bench.progress(&format!("relay drain of {count} pending rows, round {round}"));
            let topic = rows.fill(&stage, "outbox", *count).await?;
            let database = [("OUTBOX_RELAY_DATABASES", stage.postgres.url(rows::DATABASE))];
            let drained = drained(&stage, &rows, &topic, *count);
            let (running, drained) = tokio::join!(stage.start(Program::OutboxRelay, &database), drained);
            let (running, drained) = (running?, drained?);
            let memory = usage::memory(running.pid()).map(|(_, most)| most);
            for (name, wanted) in [("least", steps.first()), ("most", steps.last())] {
                if wanted == Some(count) {
                    results.add(format!("growth/drain/{name}/per_second"), drained.steady());
                    results.add(format!("growth/drain/{name}/memory_mb"), memory.unwrap_or_default());
                }
            }
            running.stop().await?;
            if *count > 2_000_000 && round == 1 {
                return stage.close().await; // once is enough of what takes ten minutes
            }
        }
    }
    stage.close().await
}
