//! What a shop costs in which nothing happens: statements are counted by PostgreSQL, time by the kernel.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::pool;
use tokio::time::sleep;

use crate::{
    accept::shop::Shop,
    api::{PATIENCE, Wish},
};

/// So many transactions a second may an idle shop make at most, all databases together. Nearly each is one statement.
const LIMIT: f64 = 20.0;
/// Counted over this long; sessions tell what they did after ten seconds at the latest.
const WINDOW: Duration = Duration::from_secs(20);
/// Linux tells every program of a hundredth of a second, whatever its own clock does.
const TICKS_A_SECOND: f64 = 100.0;
/// The servers, which have a life of their own.
const NOT_OURS: [&str; 2] = ["kafka", "postgres"];

/// Makes sure that an order has been here, so that every process has had something to do, and waits until what it left
/// behind is done.
pub(in crate::accept) async fn try_out(shop: &Shop) -> anyhow::Result<String> {
    let order = shop.api.place(&Wish::default()).await?;
    shop.api.wait_for(&order, "confirmed").await?;
    let mut conn = pool::connect(&shop.addresses()?.postgres).await?;
    let give_up = Instant::now() + PATIENCE.max(WINDOW * 4);
    loop {
        let (began, before, busy) = (Instant::now(), transactions(&mut conn).await?, cpu_seconds(shop)?);
        sleep(WINDOW).await;
        let seconds = began.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let rate = (transactions(&mut conn).await? - before) as f64 / seconds;
        let share = (cpu_seconds(shop)? - busy) / seconds * 100.0;
        let figures = format!("{rate:.1} transactions a second in all, its own processes take {share:.1} % of a core");
        if rate <= LIMIT {
            return Ok(figures);
        }
        ensure!(Instant::now() < give_up, "{figures}: at most {LIMIT} a second are allowed");
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

/// What the services, relays and the sandbox have used of the processors so far.
fn cpu_seconds(shop: &Shop) -> anyhow::Result<f64> {
    let processes = shop.addresses()?.processes;
    let own = processes.iter().filter(|(name, _)| !NOT_OURS.contains(&name.as_str()));
    own.map(|(name, process)| cpu_of(process.pid).with_context(|| format!("the CPU time of {name}"))).sum()
}

fn cpu_of(pid: i32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // the name, in parentheses, may hold anything; utime and stime are the 12th and 13th after it
    let after = stat.rsplit_once(") ").context("/proc/PID/stat is not as it was")?.1;
    let ticks: Vec<f64> = after.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    ensure!(ticks.len() == 2, "/proc/{pid}/stat is not as it was");
    Ok(ticks.iter().sum::<f64>() / TICKS_A_SECOND)
}
