//! How long staff wait who look for orders in order-svc, whatever they look for, with a million of them. No search may read a table from
//! one end to the other.

use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::Value;

use super::copies::{self, Copies};
use super::whole::Market;
use crate::Bench;
use crate::http::Connection;
use crate::load::median_and_99th;
use crate::results::Results;
use crate::stage::{Program, number};

/// Nearly all orders of a shop that has run for a year have arrived. Of the others those that are old are overdue.
const DISPATCHED: usize = 198;
const DELIVERED: usize = 196;
const TOLD_WITHIN: Duration = Duration::from_secs(11);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What is looked for, and whether something must be found.
struct Search {
    name: &'static str,
    query: String,
    finds: bool,
}

pub async fn run(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    let mut market = Market::open(bench, "search").await?;
    let seeds = copies::seeds(&mut market, DISPATCHED, DELIVERED).await?;
    market.check(results).await?;
    bench.progress(&format!("copying orders until there are {}", bench.sizes.most_rows));
    let copies = Copies { seeds: &seeds, orders: bench.sizes.most_rows, until: Utc::now(), over: YEAR };
    copies.put(&market.stage, Program::OrderSvc).await?;

    let admin = market.stage.admin(Program::OrderSvc.database()).await?;
    let known = "select id::text, placed #>> '{lines,0,sku}' from orders where customer_id = 'c-77' and number > 1000000 limit 1";
    let known = admin.query_one(known, &[]).await?;
    let known = (known.get::<_, String>(0), known.get::<_, String>(1));
    let whole = "select coalesce(sum(seq_scan), 0) from pg_stat_user_tables where relname in ('orders', 'order_keys')";
    let scanned = number(&admin, whole).await?;
    let mut orders = Connection::open(market.orders_port()?).await?;
    #[expect(clippy::cast_precision_loss, reason = "a million")]
    results.add("search/orders", number(&admin, "select count(*) from orders").await? as f64);
    for search in searches((&known.0, &known.1), bench.sizes.most_rows) {
        bench.progress(&format!("looking for {}", search.name));
        let mut took = Vec::new();
        for _ in 0..bench.sizes.asked {
            let began = Instant::now();
            let (status, answer) = orders.get(&format!("/api/v1/orders?{}", search.query)).await?;
            took.push(began.elapsed());
            let found: Value = serde_json::from_slice(&answer)?;
            let is_right = found["items"].as_array().is_some_and(|items| items.is_empty() != search.finds);
            results.must(status == 200 && is_right, || format!("{} was answered {status}: {found}", search.query));
        }
        if let Some((p50, p99)) = median_and_99th(took) {
            results.add(format!("search/{}/p50_ms", search.name), p50);
            results.add(format!("search/{}/p99_ms", search.name), p99);
        }
    }
    if !bench.arguments.smoke {
        // Sessions tell what they have read when they rest, and of a small table it is right to read all.
        tokio::time::sleep(TOLD_WITHIN).await;
        let scanned = number(&admin, whole).await? - scanned;
        results.must(scanned == 0, || format!("while orders were looked for, a table was read whole {scanned} times"));
    }
    market.close().await
}

/// Each thing by itself, and together what finds many by each and few by both, or none.
fn searches((id, sku): (&str, &str), orders: i64) -> Vec<Search> {
    let search = |name, query: &str, finds| Search { name, query: query.to_owned(), finds };
    let recent = "placed_from=2026-01-01T00:00:00Z";
    let long_ago = "placed_to=2020-01-01T00:00:00Z";
    vec![
        search("newest", "", true),
        search("id", &format!("q={id}"), true),
        search("number", &format!("q=Q-2026-{}", 1_000_000 + orders - 1), true),
        search("customer", "customer_id=c-77", true),
        search("e-mail", "q=customer77@example.com", true),
        search("SKU of many", "q=TEA-007", true),
        search("SKU of nothing", "q=TEA-999", false),
        search("status", "status=completed", true),
        search("several statuses", "status=pending,confirmed,cancelling", true),
        search("several statuses of none", "status=pending,cancelling", false),
        search("dates", recent, true),
        search("dates of none", long_ago, false),
        search("overdue", "overdue=true", true),
        search("not overdue", "overdue=false", true),
        search("overdue and a status", "overdue=true&status=shipped", true),
        search("overdue and a status that never is", "overdue=true&status=completed", false),
        search("overdue and a status of none", "overdue=true&status=pending", false),
        search("overdue of a customer", "overdue=true&customer_id=c-77", false),
        search("SKU and status of none", "q=TEA-007&status=cancelled", false),
        search("SKU and dates of none", &format!("q=TEA-007&{long_ago}"), false),
        search("customer, SKU and status", &format!("customer_id=c-77&sku={sku}&status=confirmed,completed"), true),
    ]
}
