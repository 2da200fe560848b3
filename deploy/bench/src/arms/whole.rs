//! Whole orders, from POST to captured: at saturation, at half and four fifths of it, and what else a running shop shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::{sync::Semaphore, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{idle, one_at_a_time, snapshot};
use crate::http::Connection;
use crate::results::Results;
use crate::shop::{self, SKUS, Shop};
use crate::stage::{Program, Stage};
use crate::watch::Watch;
use crate::{Bench, load, statements, usage};

pub const CONFIRMED: &str = "order.confirmed.v1";
pub const CAPTURED: &str = "payment.captured.v1";
const TOPICS: [&str; 5] = ["orders.v1", "stock.v1", "payments.v1", "shipments.v1", "notifications.v1"];
/// Orders that are placed and not captured yet, at saturation.
const IN_FLIGHT: usize = 256;
const SENDERS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(300);

/// The shop, who watches its topics, and how many orders were placed.
pub struct Market {
    pub stage: Stage,
    pub shop: Shop,
    pub watch: Arc<Watch>,
    pub placed: usize,
}

impl Market {
    pub async fn open(bench: &Bench, name: &str) -> anyhow::Result<Self> {
        bench.progress("starting PostgreSQL, Kafka and the whole shop");
        let stage = Stage::open(bench, name, &[]).await?;
        let shop = Shop::open(&stage).await?;
        let watch = Arc::new(Watch::start(&stage.kafka.bootstrap(), &TOPICS)?);
        Ok(Self { stage, shop, watch, placed: 0 })
    }

    pub fn orders_port(&self) -> anyhow::Result<u16> {
        self.shop.port(Program::OrderSvc)
    }

    /// Waits until every order that was placed is captured.
    pub async fn all_captured(&self) -> anyhow::Result<()> {
        self.watch.wait_for(CAPTURED, self.placed, PATIENCE).await
    }

    /// Every order that was placed was confirmed and captured; each key's events came once and in order, and none became
    /// a dead letter.
    pub async fn check(&self, results: &mut Results) -> anyhow::Result<()> {
        self.all_captured().await?;
        for kind in ["order.placed.v1", CONFIRMED, CAPTURED] {
            let (found, placed) = (self.watch.count(kind), self.placed);
            results.must(found == placed, || format!("{placed} orders were placed, {found} have had {kind}"));
        }
        for fault in self.watch.faults() {
            results.must(false, || fault);
        }
        for service in Program::SERVICES {
            let database = self.stage.admin(service.database()).await?;
            let dead_letters = crate::stage::number(&database, "select count(*) from dead_letters").await?;
            results.must(dead_letters == 0, || format!("{} made {dead_letters} dead letters", service.name()));
        }
        Ok(())
    }

    pub async fn close(self) -> anyhow::Result<()> {
        self.shop.close().await?;
        drop(self.watch);
        self.stage.close().await
    }
}

pub async fn run(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    let mut market = Market::open(bench, "whole").await?;
    bench.progress("warming up");
    saturate(&mut market, bench.sizes.saturated / 4).await?;
    for round in 1..=bench.sizes.rounds {
        bench.progress(&format!("one order at a time, round {round}"));
        one_at_a_time::round(bench, &mut market, results).await?;
        bench.progress(&format!("at saturation, round {round}"));
        saturate(&mut market, bench.sizes.saturated).await?.note("saturation", results);
    }
    let most = results.median("saturation/orders_per_second").unwrap_or(30.0).max(4.0);
    for round in 1..=bench.sizes.long_rounds {
        for (name, share) in [("half", 0.5), ("four_fifths", 0.8)] {
            bench.progress(&format!("open arrival at {share} of {most:.0} orders/s, round {round}"));
            open(&mut market, name, most * share, bench.sizes.open, results).await?;
        }
    }
    snapshot::run(bench, &mut market, results).await?;
    for running in &market.shop.running {
        if let Some((_, most)) = usage::memory(running.pid()) {
            results.add(format!("memory/{}/under_load_mb", running.program.name()), most);
        }
    }
    market.check(results).await?;
    idle::run(bench, &mut market, results).await?;
    market.close().await
}

/// What so many orders in a window took.
pub struct Window {
    pub orders: f64,
    seconds: f64,
    cpu: BTreeMap<String, Duration>,
    work: BTreeMap<String, statements::Work>,
    wal: f64,
}

impl Window {
    pub fn orders_per_second(&self) -> f64 {
        self.orders / self.seconds
    }

    /// Adds it all under this name, an order.
    pub fn note(&self, name: &str, results: &mut Results) {
        results.add(format!("{name}/orders_per_second"), self.orders_per_second());
        let (mut all, mut own) = (0.0, 0.0);
        for (process, used) in &self.cpu {
            let used = used.as_secs_f64() * 1_000.0 / self.orders;
            results.add(format!("{name}/cpu/{process}/ms_per_order"), used);
            all += if process.starts_with("sandbox") { 0.0 } else { used };
            own += if process.ends_with("-svc") || process == "outbox-relay" { used } else { 0.0 };
        }
        results.add(format!("{name}/cpu/all_but_sandbox/ms_per_order"), all);
        results.add(format!("{name}/cpu/own_services/ms_per_order"), own);
        let (mut calls, mut commits) = (0.0, 0.0);
        for (database, work) in &self.work {
            results.add(format!("{name}/statements/{database}/per_order"), work.statements / self.orders);
            results.add(format!("{name}/commits/{database}/per_order"), work.transactions / self.orders);
            results.add(format!("{name}/commit_statements/{database}/per_order"), work.commits / self.orders);
            calls += work.statements / self.orders;
            commits += work.transactions / self.orders;
        }
        results.add(format!("{name}/statements/per_order"), calls);
        results.add(format!("{name}/commits/per_order"), commits);
        results.add(format!("{name}/wal/kb_per_order"), self.wal / 1_000.0 / self.orders);
    }
}

/// Begins to measure; what it returns says at the end what happened meanwhile.
pub struct Meter {
    admin: tokio_postgres::Client,
    processes: Vec<(String, i32)>,
    began: Instant,
    captured: usize,
    cpu: BTreeMap<String, Duration>,
    work: BTreeMap<String, statements::Work>,
    wal: f64,
}

impl Meter {
    pub async fn begin(market: &Market) -> anyhow::Result<Self> {
        let admin = market.stage.admin("postgres").await?;
        let processes = market.shop.processes(&market.stage);
        Ok(Self {
            work: statements::by_database(&admin).await?,
            wal: statements::wal_bytes(&admin).await?,
            cpu: usage::cpu_of(&processes),
            captured: market.watch.count(CAPTURED),
            began: Instant::now(),
            admin,
            processes,
        })
    }

    pub async fn end(self, market: &Market) -> anyhow::Result<Window> {
        let captured = market.watch.count(CAPTURED) - self.captured;
        let (seconds, cpu) = (self.began.elapsed().as_secs_f64(), usage::cpu_of(&self.processes));
        let used = cpu.into_iter().map(|(name, after)| {
            let before = self.cpu.get(&name).copied().unwrap_or_default();
            (name, after.saturating_sub(before))
        });
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let orders = captured.max(1) as f64;
        Ok(Window {
            orders,
            seconds,
            cpu: used.collect(),
            work: statements::between(&self.work, &statements::by_database(&self.admin).await?),
            wal: statements::wal_bytes(&self.admin).await? - self.wal,
        })
    }
}

/// Keeps so many orders under way that nothing rests, and measures once the first of them are captured.
pub async fn saturate(market: &mut Market, lasts: Duration) -> anyhow::Result<Window> {
    let (port, before) = (market.orders_port()?, market.watch.count(CAPTURED));
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    let stop = CancellationToken::new();
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let (permits, stop, mut connection) = (Arc::clone(&permits), stop.clone(), Connection::open(port).await?);
        senders.spawn(async move {
            let mut placed = 0;
            loop {
                // given back, for all senders, as orders are captured
                let permit = stop.run_until_cancelled(permits.acquire()).await;
                let Some(Ok(permit)) = permit else { return anyhow::Ok(placed) };
                permit.forget();
                shop::place(&mut connection, sender + placed * SENDERS, SKUS).await?;
                placed += 1;
            }
        });
    }
    let (watch, giving) = (Arc::clone(&market.watch), Arc::clone(&permits));
    let give_back = tokio::spawn(async move {
        let mut given = before;
        loop {
            let captured = watch.count(CAPTURED);
            giving.add_permits(captured - given);
            given = captured;
            sleep(Duration::from_millis(5)).await;
        }
    });
    market.watch.wait_for(CAPTURED, before + IN_FLIGHT / 2, PATIENCE).await?;
    let meter = Meter::begin(market).await?;
    sleep(lasts).await;
    let window = meter.end(market).await?;
    stop.cancel();
    while let Some(placed) = senders.join_next().await {
        market.placed += placed??;
    }
    give_back.abort();
    market.all_captured().await?;
    Ok(window)
}

/// Orders at this rate, whatever the answers; latencies count from the moment at which each was to be sent.
async fn open(
    market: &mut Market,
    name: &str,
    a_second: f64,
    lasts: Duration,
    results: &mut Results,
) -> anyhow::Result<()> {
    let placed = load::open(market.orders_port()?, a_second, lasts, SKUS).await?;
    market.placed += placed.len();
    market.all_captured().await?;
    market.watch.wait_for(CONFIRMED, market.placed, PATIENCE).await?;
    let answered = placed.iter().map(|order| order.answered - order.intended).collect();
    let until = |kind: &str| {
        let took = |order: &load::Placed| Some(market.watch.at(kind, &order.id)?.duration_since(order.intended));
        placed.iter().filter_map(took).collect::<Vec<_>>()
    };
    let (confirmed, captured) = (until(CONFIRMED), until(CAPTURED));
    for (what, latencies) in [("answered", answered), ("confirmed", confirmed), ("captured", captured)] {
        if let Some((p50, p99)) = load::median_and_99th(latencies) {
            results.add(format!("{name}/{what}/p50_ms"), p50);
            results.add(format!("{name}/{what}/p99_ms"), p99);
        }
    }
    results.add(format!("{name}/orders_per_second"), a_second);
    Ok(())
}
