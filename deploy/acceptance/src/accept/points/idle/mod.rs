//! What a shop costs in which nothing happens: statements are counted by PostgreSQL, time by the kernel.

mod processor;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use quadrille::api::{OrderDraft, PATIENCE};
use quadrille::table;
use service_kit::pool;
use tokio::time::sleep;

use self::processor::Times;
use crate::shop::Shop;

/// The most transactions a second of an idle shop, all databases together. Nearly each is one statement.
const TRANSACTIONS: f64 = 20.0;
/// The most that its own processes may take of a core, in per cent, without the servers.
/// A debug build takes 2.2 to 2.5 if nothing else runs, and more if others use the caches.
const OWN: f64 = if cfg!(debug_assertions) { 4.0 } else { 1.0 };
/// The most that the embedded broker may take of a core, in per cent; a debug build takes 1.7.
const EMBEDDED_BROKER: f64 = if cfg!(debug_assertions) { 4.0 } else { 1.0 };
/// Counted over this long; sessions tell what they did after ten seconds at the latest.
const WINDOW: Duration = Duration::from_secs(20);

const BROKER: &str = "kafka";
const DATABASE: &str = "postgres";
const RUNNER: &str = "quadrille up";

/// Makes sure that an order has been here, so that every process has had something to do, and waits until what it left
/// behind is done.
pub(in crate::accept) async fn try_out(shop: &Shop) -> anyhow::Result<String> {
    let order = shop.api.place(&OrderDraft::default()).await?;
    shop.api.wait_for(&order, "confirmed").await?;
    let mut conn = pool::connect(&shop.addresses()?.postgres).await?;
    let give_up = Instant::now() + PATIENCE.max(WINDOW * 4);
    loop {
        let measured = Measured::over(WINDOW, shop, &mut conn).await?;
        let figures = measured.to_string();
        if measured.transactions <= TRANSACTIONS
            && measured.own() <= OWN
            && (!shop.is_on_the_embedded_broker() || measured.of(BROKER) <= EMBEDDED_BROKER)
        {
            return Ok(figures);
        }
        ensure!(
            Instant::now() < give_up,
            "at most {TRANSACTIONS} transactions a second, {OWN} % of a core for its own processes and {EMBEDDED_BROKER} % \
             for an embedded broker are allowed: {figures}"
        );
    }
}

/// What was used in a while.
struct Measured {
    /// A second.
    transactions: f64,
    /// Per cent of a core by process.
    shares: Vec<(String, f64)>,
}

impl Measured {
    async fn over(window: Duration, shop: &Shop, conn: &mut AsyncPgConnection) -> anyhow::Result<Self> {
        let (began, before, busy) = (Instant::now(), transactions(conn).await?, times(shop)?);
        sleep(window).await;
        let seconds = began.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let transactions = (transactions(conn).await? - before) as f64 / seconds;
        let shares = times(shop)?.since(&busy).map(|(name, used)| (name, used / seconds * 100.0)).collect();
        Ok(Self { transactions, shares })
    }

    fn of(&self, process: &str) -> f64 {
        self.shares.iter().filter(|(name, _)| name == process).map(|(_, share)| share).sum()
    }

    fn own(&self) -> f64 {
        self.shares
            .iter()
            .filter(|(name, _)| ![BROKER, DATABASE].contains(&name.as_str()))
            .map(|(_, share)| share)
            .sum()
    }
}

impl std::fmt::Display for Measured {
    /// A line, and a table by process.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (transactions, own) = (self.transactions, self.own());
        writeln!(f, "{transactions:.1} transactions a second in all, its own processes take {own:.2} % of a core")?;
        let mut lines = vec![table::line(["PROCESS", "% OF A CORE"])];
        lines.extend(self.shares.iter().map(|(name, share)| vec![name.clone(), format!("{share:.2}")]));
        let mut out = Vec::new();
        table::aligned(&lines, &mut out).map_err(|_| std::fmt::Error)?;
        f.write_str(String::from_utf8_lossy(&out).trim_end())
    }
}

async fn transactions(conn: &mut AsyncPgConnection) -> anyhow::Result<i64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let all = "select sum(xact_commit + xact_rollback)::bigint as count from pg_stat_database";
    Ok(sql_query(all).get_result::<Count>(conn).await?.count)
}

/// What each process has used of the processors so far.
fn times(shop: &Shop) -> anyhow::Result<Times> {
    let addresses = shop.addresses()?;
    let runner = (RUNNER.to_owned(), addresses.runner);
    let processes = addresses.processes.into_iter().chain([runner]);
    processes
        .map(|(name, process)| {
            let used = match name.as_str() {
                DATABASE => processor::of_family(process.pid),
                _ => processor::of(process.pid),
            };
            Ok((name.clone(), used.with_context(|| format!("the CPU time of {name}"))?))
        })
        .collect()
}
