//! The console with many orders in its database, and in those of the services behind it, while new events come: how long each page takes,
//! whether its consumer keeps up, and what it needs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::Utc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::copies::{self, Copies, SEEDS, first};
use super::whole::Market;
use crate::http::Connection;
use crate::load::{self, median_and_99th};
use crate::results::Results;
use crate::shop::{self, SKUS};
use crate::stage::{Program, Running, number, until};
use crate::{Bench, usage};

/// Of the orders that are copied half stay in the warehouse, and half of the others on their way.
const DISPATCHED: usize = SEEDS / 2;
const DELIVERED: usize = SEEDS / 4;
/// New events a second, by what the copied orders have of them: a new order has a sixth fewer, so that a hundred come.
const EVENTS: f64 = 120.0;
/// People who look, and how long they rest between two pages.
const PEOPLE: usize = 2;
const REST: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);
/// What a service answers that had not been asked lately.
const COLD: usize = 2;

type Pages = Vec<(&'static str, Vec<String>)>;

pub async fn run(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    let mut market = Market::open(bench, "console").await?;
    let mut console = start(&market).await?;
    bench.progress("placing orders, dispatching and delivering some");
    let seeds = copies::seeds(&mut market, DISPATCHED, DELIVERED).await?;
    let heard = all_heard(&market).await?;
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let events_an_order = heard as f64 / SEEDS as f64;
    let orders = bench.sizes.known_orders;
    bench.progress(&format!("copying orders until there are {orders}"));
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let over = Duration::from_secs_f64(orders as f64 * events_an_order / EVENTS);
    let copies = Copies { seeds: &seeds, orders, until: Utc::now(), over };
    for program in Program::SERVICES.into_iter().chain([Program::Console]) {
        copies.put(&market.stage, program).await?;
    }
    // its memory at most is that from here on
    console = console.start_again(&market.stage).await?;
    let pages = Arc::new(pages(&market, &seeds).await?);
    look(&console, &pages, Duration::ZERO).await?;
    // It has taken its partitions again once it has heard something.
    market.placed += load::many(market.orders_port()?, 1, 5, SKUS).await?.len();
    market.all_captured().await?;

    bench.progress(&format!("looking at {} pages while orders are placed", pages.len()));
    let before = all_heard(&market).await?;
    let rate = EVENTS / events_an_order;
    let (port, lasts) = (market.orders_port()?, bench.sizes.looking);
    let placing = tokio::spawn(async move { load::open(port, rate, lasts, SKUS).await });
    let processes = market.shop.processes(&market.stage);
    let processes: Vec<_> = processes.into_iter().chain([("console".to_owned(), console.pid())]).collect();
    let (cpu, began) = (usage::cpu_of(&processes), Instant::now());
    let (took, lag) = tokio::join!(look(&console, &pages, lasts), lag(&console, lasts));
    let (took, lag) = (took?, lag?);
    let (seconds, used) = (began.elapsed().as_secs_f64(), usage::cpu_of(&processes));
    market.placed += placing.await??.len();
    let ended = Instant::now();
    market.all_captured().await?;
    let heard = all_heard(&market).await? - before;
    results.add("console/caught_up_after_ms", ended.elapsed().as_secs_f64() * 1_000.0);
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let per_second = heard as f64 / seconds;
    results.add("console/events_per_second", per_second);
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    results.add("console/orders", (orders + i64::try_from(market.placed)?) as f64);
    results.add("console/lag/most_records", lag.most_records);
    results.add("console/lag/most_seconds", lag.most_seconds);
    results.add("console/lag/at_the_end_records", lag.last_records);
    for (name, latencies) in took {
        let count = latencies.len();
        let (p50, p99) = median_and_99th(latencies).with_context(|| format!("{name} was never looked at"))?;
        results.add(format!("console/page/{name}/p50_ms"), p50);
        results.add(format!("console/page/{name}/p99_ms"), p99);
        #[expect(clippy::cast_precision_loss, reason = "hundreds")]
        results.add(format!("console/page/{name}/looked_at"), count as f64);
    }
    for (name, after) in used {
        let used = after.saturating_sub(cpu.get(&name).copied().unwrap_or_default());
        results.add(format!("console/cpu/{name}/percent_of_a_core"), used.as_secs_f64() * 100.0 / seconds);
    }
    if let Some((_, most)) = usage::memory(console.pid()) {
        results.add("console/memory_mb", most);
    }
    let database = market.stage.admin(Program::Console.database()).await?;
    let dead = number(&database, "select count(*) from dead_letters").await?;
    results.must(dead == 0, || format!("the console made {dead} dead letters"));
    market.check(results).await?;
    console.stop().await?;
    market.close().await
}

async fn start(market: &Market) -> anyhow::Result<Running> {
    let at = |program| Ok::<_, anyhow::Error>(format!("http://127.0.0.1:{}", market.shop.port(program)?));
    let urls = [
        ("ORDER_URL", at(Program::OrderSvc)?),
        ("PAYMENT_URL", at(Program::PaymentSvc)?),
        ("STOCK_URL", at(Program::StockSvc)?),
        ("NOTIFICATION_URL", at(Program::NotificationSvc)?),
    ];
    market.stage.start(Program::Console, &urls).await
}

/// Waits until nothing comes any more and the console has what came; returns how many events it has heard since it was started first.
async fn all_heard(market: &Market) -> anyhow::Result<i64> {
    let database = market.stage.admin(Program::Console.database()).await?;
    let heard = "select count(*) from inbox where consumer = 'console'";
    let mut last = 0;
    until("the console has heard everything", PATIENCE, async || {
        let came = i64::try_from(market.watch.records())?;
        let (rested, heard) = (came == last, number(&database, heard).await?);
        last = came;
        if !rested {
            sleep(Duration::from_millis(500)).await;
        }
        Ok(rested && heard == came)
    })
    .await?;
    Ok(last)
}

/// Every page, by name, at the addresses that are looked at in turn.
async fn pages(market: &Market, seeds: &[String]) -> anyhow::Result<Pages> {
    let console = market.stage.admin(Program::Console.database()).await?;
    let query =
        "select id::text, number, email from orders where number like 'Q-2026-1______' order by random() limit 50";
    let some = console.query(query, &[]).await?;
    let each = |place: usize, at: &str, after: &str| {
        some.iter().map(|row| format!("{at}{}{after}", row.get::<_, String>(place))).collect::<Vec<_>>()
    };
    let mut payments = Connection::open(market.shop.port(Program::PaymentSvc)?).await?;
    let payment = first(&mut payments, "/api/v1/payments").await?;
    let one = |path: &str| vec![path.to_owned()];
    let all = |at: &str, count: usize, of: fn(usize) -> String| (0..count).map(|n| format!("{at}{}", of(n))).collect();
    Ok(vec![
        ("now", one("/control")),
        ("now, its live part", one("/control/live")),
        ("stuck", one("/control/stuck")),
        ("orders", one("/control/orders")),
        (
            "orders of a state",
            ["pending", "confirmed", "shipped", "completed"]
                .map(|state| format!("/control/orders?state={state}"))
                .into(),
        ),
        ("orders by number", each(1, "/control/orders?q=", "")),
        ("orders by id", each(0, "/control/orders?q=", "")),
        ("orders by e-mail", each(2, "/control/orders?q=", "")),
        ("orders by customer", all("/control/orders?q=c-", 50, |n| (n * 100).to_string())),
        ("orders by SKU", all("/control/orders?q=", SKUS, shop::sku)),
        ("orders by SKU and state", all("/control/orders?state=pending&q=", SKUS, shop::sku)),
        ("orders by tracking number", all("/control/orders?q=", 25, copies::tracking_number)),
        ("orders by nothing that is", all("/control/orders?q=nobody-", 25, |n| n.to_string())),
        ("one order", each(0, "/control/orders/", "")),
        ("one new order", seeds.iter().map(|id| format!("/control/orders/{id}")).collect()),
        ("topics", one("/control/topics")),
        ("topics by key", each(0, "/control/topics?key=", "")),
        (
            "topics by type",
            ["order.placed.v1", "stock.expired.v1"].map(|of| format!("/control/topics?type={of}")).into(),
        ),
        (
            "topics by text",
            ["Quay", "nobody has said this"].map(|of| format!("/control/topics?text={}", of.replace(' ', "+"))).into(),
        ),
        ("topics, the live part", one("/control/topics/rows")),
        ("map", one("/control/map")),
        ("what must hold", one("/control/holds")),
        ("dead letters", one("/control/dead-letters")),
        ("warehouse", one("/control/warehouse")),
        ("warehouse of an order", each(0, "/control/warehouse?order=", "")),
        ("money", one("/control/money")),
        ("one payment", vec![format!("/control/money/{payment}")]),
        ("actions", one("/control/actions")),
        ("shop", one("/")),
        ("shop, search", one("/?q=earl")),
        ("product", all("/products/", SKUS, shop::sku)),
        ("basket", one("/basket")),
        ("an order's own page", each(0, "/orders/", "")),
    ])
}

/// Looks at one page after the other, as several people would, for so long; in no time, at each a few times, for what is asked first.
async fn look(
    console: &Running,
    pages: &Arc<Pages>,
    lasts: Duration,
) -> anyhow::Result<BTreeMap<&'static str, Vec<Duration>>> {
    let end = Instant::now() + lasts;
    let mut people = JoinSet::new();
    for person in 0..PEOPLE {
        let (pages, mut connection) = (Arc::clone(pages), Connection::open(console.port).await?);
        people.spawn(async move {
            let mut took = Vec::new();
            for round in 0.. {
                for place in 0..pages.len() {
                    // they are not at the same page
                    let (name, paths) = &pages[(place + person * pages.len() / PEOPLE) % pages.len()];
                    let path = &paths[(round * PEOPLE + person) % paths.len()];
                    let began = Instant::now();
                    if (lasts.is_zero() && round == COLD) || (!lasts.is_zero() && began > end) {
                        return anyhow::Ok(took);
                    }
                    let (status, _) = connection.get(path).await?;
                    anyhow::ensure!(matches!(status, 200 | 303), "{path} was answered {status}");
                    took.push((*name, began.elapsed()));
                    sleep(if lasts.is_zero() { Duration::ZERO } else { REST }).await;
                }
            }
            Ok(took)
        });
    }
    let mut all = BTreeMap::<_, Vec<_>>::new();
    while let Some(person) = people.join_next().await {
        person??.into_iter().for_each(|(name, latency)| all.entry(name).or_default().push(latency));
    }
    Ok(all)
}

/// How far the console's consumer was behind, as it tells itself.
#[derive(Debug, Default)]
struct Lag {
    most_records: f64,
    most_seconds: f64,
    last_records: f64,
}

async fn lag(console: &Running, lasts: Duration) -> anyhow::Result<Lag> {
    let (end, mut connection) = (Instant::now() + lasts, Connection::open(console.port).await?);
    let mut lag = Lag::default();
    while Instant::now() < end {
        let (_, told) = connection.get("/metrics").await?;
        let told = String::from_utf8_lossy(&told).into_owned();
        let of = |name: &str| {
            let lines = told.lines().filter(|line| line.starts_with(name));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).collect::<Vec<_>>()
        };
        lag.last_records = of("consumer_lag_records").iter().sum();
        lag.most_records = lag.most_records.max(lag.last_records);
        lag.most_seconds = of("consumer_lag_seconds").into_iter().fold(lag.most_seconds, f64::max);
        sleep(Duration::from_millis(500)).await;
    }
    Ok(lag)
}
