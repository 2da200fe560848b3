//! What tracing costs: placement and whole orders with a tenth of the traces exported, and without any, in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::whole::{Market, saturate};
use crate::results::Results;
use crate::shop::{SKUS, list_products};
use crate::stage::{Program, Stage, number, until};
use crate::{Bench, load, usage};

const CONNECTIONS: usize = 32;
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

pub async fn run(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    let collector = Collector::start().await?;
    placement(bench, &collector, results).await?;
    whole(bench, &collector, results).await?;
    results.must(collector.requests() > 0, || "the collector was told nothing".to_owned());
    Ok(())
}

/// Which way a round goes first: each way is first as often.
fn turns(round: usize) -> [bool; 2] {
    if round.is_multiple_of(2) { [true, false] } else { [false, true] }
}

const fn name_of(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}

async fn placement(bench: &Bench, collector: &Collector, results: &mut Results) -> anyhow::Result<()> {
    bench.progress("starting order-svc for placement with and without telemetry");
    let stage = Stage::open(bench, "telemetry-placement", &[]).await?;
    let stock = stage.start(Program::StockSvc, &[]).await?;
    let orders = stage.start(Program::OrderSvc, &[]).await?;
    list_products(&stage, stock.port, 0..SKUS).await?;
    stock.stop().await?;
    orders.stop().await?;
    let database = stage.admin(Program::OrderSvc.database()).await?;
    for round in 0..=bench.sizes.rounds {
        for is_on in turns(round) {
            let name = name_of(is_on);
            bench.progress(&format!("placement, telemetry {name}, round {round}"));
            let orders = stage.start(Program::OrderSvc, &collector.environment(is_on)).await?;
            // the first orders of a process are slower, and the first round fills the tables
            load::many(orders.port, CONNECTIONS, 200, SKUS).await?;
            let (cpu, began) = (usage::cpu(orders.pid()), std::time::Instant::now());
            let placed = load::closed(orders.port, CONNECTIONS, bench.sizes.placing, SKUS).await?;
            let (seconds, cpu) = (began.elapsed().as_secs_f64(), usage::cpu(orders.pid()) - cpu);
            let empty = async || Ok(number(&database, "select count(*) from outbox").await? == 0);
            until("the outbox is empty", PATIENCE, empty).await?;
            orders.stop().await?;
            if round > 0 {
                #[expect(clippy::cast_precision_loss, reason = "thousands")]
                let count = placed.len() as f64;
                results.add(format!("telemetry/{name}/placement_per_second"), count / seconds);
                let cpu = cpu.as_secs_f64() * 1_000.0 / count;
                results.add(format!("telemetry/{name}/placement_own_cpu_ms_per_order"), cpu);
            }
        }
    }
    stage.close().await
}

async fn whole(bench: &Bench, collector: &Collector, results: &mut Results) -> anyhow::Result<()> {
    let mut market = Market::open(bench, "telemetry-whole").await?;
    for round in 0..=bench.sizes.rounds {
        for is_on in turns(round) {
            let name = name_of(is_on);
            bench.progress(&format!("whole orders at saturation, telemetry {name}, round {round}"));
            let running = std::mem::take(&mut market.shop.running);
            for program in running {
                let again = program.start_again_with(&market.stage, collector.environment(is_on)).await?;
                market.shop.running.push(again);
            }
            saturate(&mut market, bench.sizes.saturated / 4).await?;
            let window = saturate(&mut market, bench.sizes.saturated).await?;
            if round > 0 {
                window.note(&format!("telemetry/{name}"), results);
            }
        }
    }
    market.check(results).await?;
    market.close().await
}

/// Takes spans, reads them whole and throws them away.
struct Collector {
    port: u16,
    requests: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Collector {
    async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("the collector")?;
        let (port, requests) = (listener.local_addr()?.port(), Arc::<AtomicU64>::default());
        let counted = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(take(connection, Arc::clone(&counted)));
            }
        });
        Ok(Self { port, requests, task })
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// What a program is started with.
    fn environment(&self, is_on: bool) -> Vec<(&'static str, String)> {
        if !is_on {
            return Vec::new();
        }
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", self.port)),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio".to_owned()),
            ("OTEL_TRACES_SAMPLER_ARG", "0.1".to_owned()),
        ]
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection's requests.
async fn take(connection: TcpStream, requests: Arc<AtomicU64>) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if connection.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or_default();
            }
        }
        tokio::io::copy(&mut (&mut connection).take(length), &mut tokio::io::sink()).await?;
        requests.fetch_add(1, Ordering::Relaxed);
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
    }
}
