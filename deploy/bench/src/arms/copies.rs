//! Copies of orders that went through the shop, with all that its services know of them, so that databases are as full as those of a
//! shop that has run for long. What was copied is real; the copies differ in ids, numbers, customers and times.

use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_postgres::Client;

use super::whole::Market;
use crate::http::Connection;
use crate::load;
use crate::shop::SKUS;
use crate::stage::{Program, Stage, number, until};

/// Orders that really go through the shop, and are copied.
pub const SEEDS: usize = 200;
const SENDERS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(60);

/// Places them; of these so many are dispatched, and of those so many delivered, too.
pub async fn seeds(market: &mut Market, dispatched: usize, delivered: usize) -> anyhow::Result<Vec<String>> {
    let placed = load::many(market.orders_port()?, SENDERS, SEEDS, SKUS).await?;
    market.placed += placed.len();
    market.all_captured().await?;
    let orders: Vec<_> = placed.into_iter().map(|order| order.id).collect();
    let mut stock = Connection::open(market.shop.port(Program::StockSvc)?).await?;
    for (n, order) in orders.iter().take(dispatched).enumerate() {
        let parcel = first(&mut stock, &format!("/api/v1/shipments?order_id={order}")).await?;
        let number = json!({"carrier": "An Post", "tracking_number": tracking_number(n)}).to_string();
        let steps = [("dispatch", number.as_str()), ("deliver", "{}")];
        for (step, body) in steps.into_iter().take(if n < delivered { 2 } else { 1 }) {
            let (status, answer) = stock.post(&format!("/api/v1/shipments/{parcel}/{step}"), body).await?;
            anyhow::ensure!(status < 300, "{step} was answered {status}: {}", String::from_utf8_lossy(&answer));
        }
    }
    let (database, delivered) = (market.stage.admin(Program::OrderSvc.database()).await?, i64::try_from(delivered)?);
    until("those that have arrived are completed", PATIENCE, async || {
        Ok(number(&database, "select count(*) from orders where status = 'completed'").await? == delivered)
    })
    .await?;
    Ok(orders)
}

pub fn tracking_number(n: usize) -> String {
    format!("CE{n:09}IE")
}

/// The id of the first item of a list, once there is one.
pub async fn first(service: &mut Connection, path: &str) -> anyhow::Result<String> {
    let began = Instant::now();
    loop {
        let (_, answer) = service.get(path).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        if let Some(id) = answer["items"][0]["id"].as_str() {
            return Ok(id.to_owned());
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "{path} stays empty");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Which orders are copied, how many copies there are, and when they were placed: evenly over some time before `until`.
pub struct Copies<'a> {
    pub seeds: &'a [String],
    pub orders: i64,
    pub until: DateTime<Utc>,
    pub over: Duration,
}

/// A table, and how its rows come with an order.
struct Table {
    name: &'static str,
    /// The rows `t` of the copied orders, as they are joined with `copies`.
    joined: &'static str,
    /// What a copy has in place of the row's own. Times move by themselves.
    other: &'static [(&'static str, &'static str)],
}

const ORDER_ID: (&str, &str) = ("order_id", "copies.new");

const ORDER_SVC: [Table; 2] = [
    Table {
        name: "orders",
        joined: "copies.old = t.id",
        other: &[
            ("id", "copies.new"),
            ("number", "1000000 + copies.n"),
            ("customer_id", "copies.customer"),
            (
                "placed",
                "jsonb_set(replace(t.placed::text, copies.old::text, copies.new::text)::jsonb, '{customer}', \
                    jsonb_build_object('id', copies.customer, 'name', 'Ann Lee', 'email', copies.email))",
            ),
        ],
    },
    Table {
        name: "order_keys",
        joined: "copies.old = t.order_id",
        other: &[
            ORDER_ID,
            (
                "value",
                "case t.kind when 'number' then (1000000 + copies.n)::text when 'email' then copies.email else t.value end",
            ),
        ],
    },
];

const PAYMENT_SVC: [Table; 3] = [
    Table {
        name: "payments",
        joined: "copies.old = t.order_id",
        other: &[
            ORDER_ID,
            ("payment_id", "bench_copy(t.payment_id, copies.times, copies.shift)"),
            ("intent", "t.intent || '_' || copies.times"),
        ],
    },
    Table {
        name: "charges",
        joined: "copies.old = t.order_id",
        other: &[ORDER_ID, ("customer_id", "copies.customer")],
    },
    Table {
        name: "ledger",
        joined: "copies.old = (select order_id from payments where payments.payment_id = t.payment_id)",
        other: &[
            ("payment_id", "bench_copy(t.payment_id, copies.times, copies.shift)"),
            ("key", "t.key || '_' || copies.times"),
        ],
    },
];

const STOCK_SVC: [Table; 2] = [
    Table { name: "orders", joined: "copies.old = t.order_id", other: &[ORDER_ID] },
    Table {
        name: "shipments",
        joined: "copies.old = t.order_id",
        other: &[ORDER_ID, ("id", "bench_copy(t.id, copies.times, copies.shift)")],
    },
];

const NOTIFICATION_SVC: [Table; 2] = [
    Table { name: "orders", joined: "copies.old = t.order_id", other: &[ORDER_ID, ("customer_id", "copies.customer")] },
    Table {
        name: "notifications",
        joined: "copies.old = t.order_id",
        other: &[
            ORDER_ID,
            ("id", "bench_copy(t.id, copies.times, copies.shift)"),
            ("event_id", "bench_copy(t.event_id, copies.times, copies.shift)"),
        ],
    },
];

const CONSOLE: [Table; 3] = [
    Table {
        name: "orders",
        joined: "copies.old = t.id",
        other: &[
            ("id", "copies.new"),
            ("number", "'Q-2026-' || (1000000 + copies.n)"),
            ("customer_id", "copies.customer"),
            ("email", "copies.email"),
        ],
    },
    Table {
        name: "events",
        joined: "copies.old = t.order_id",
        other: &[
            ORDER_ID,
            ("id", "bench_copy(t.id, copies.times, copies.shift)"),
            ("causation_id", "bench_copy(t.causation_id, copies.times, copies.shift)"),
            ("key", "replace(t.key, copies.old::text, copies.new::text)"),
            ("headers", "replace(t.headers::text, copies.old::text, copies.new::text)::jsonb"),
            ("body", "replace(t.body, copies.old::text, copies.new::text)"),
        ],
    },
    Table {
        name: "found_by",
        joined: "copies.old = t.order_id",
        other: &[ORDER_ID, ("term", "t.term || '_' || copies.times")],
    },
];

const fn tables(program: Program) -> &'static [Table] {
    match program {
        Program::OrderSvc => &ORDER_SVC,
        Program::PaymentSvc => &PAYMENT_SVC,
        Program::StockSvc => &STOCK_SVC,
        Program::NotificationSvc => &NOTIFICATION_SVC,
        Program::Console => &CONSOLE,
        Program::SandboxGateway | Program::OutboxRelay => &[],
    }
}

impl Copies<'_> {
    /// Puts them into a program's database. The same order has the same ids everywhere.
    pub async fn put(&self, stage: &Stage, program: Program) -> anyhow::Result<()> {
        let admin = stage.admin(program.database()).await?;
        admin.batch_execute(FUNCTIONS).await.context("functions for copies")?;
        admin.batch_execute(&self.list()).await.context("the list of copies")?;
        for table in tables(program) {
            table.copy(&admin).await.with_context(|| format!("copying {} of {}", table.name, program.name()))?;
        }
        admin.batch_execute("checkpoint").await?;
        Ok(())
    }

    /// A copy for each seed in turn, from the oldest to the newest.
    fn list(&self) -> String {
        let (seeds, orders, seconds) = (self.seeds.join(","), self.orders, self.over.as_secs());
        let until = self.until.to_rfc3339();
        let times = orders / i64::try_from(self.seeds.len()).unwrap_or(1).max(1) + 1;
        format!(
            "create temp table copies as \
             select seed as old, bench_copy(seed, times, shift) as new, n, times, shift, 'c-' || n % 5000 as customer, \
                'customer' || n % 5000 || '@example.com' as email \
             from (select seed, times, n, \
                    '{until}'::timestamptz - make_interval(secs => {seconds}::float8 * ({orders} - n) / {orders}) \
                        - bench_time(seed) as shift \
                from (select seed, times, row_number() over (order by times, place) as n \
                    from unnest('{{{seeds}}}'::uuid[]) with ordinality as seeds (seed, place), \
                        generate_series(1, {times}) as times) as numbered \
                where n <= {orders}) as placed; \
             create index on copies (old); analyze copies"
        )
    }
}

/// Copies of a UUID v7 are later or earlier by as much as what they belong to.
const FUNCTIONS: &str = "
    create or replace function bench_time(id uuid) returns timestamptz language sql immutable as
        $$ select to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) $$;
    create or replace function bench_copy(id uuid, times bigint, shift interval) returns uuid language sql immutable as
        $$ select (lpad(to_hex((extract(epoch from bench_time(id) + shift) * 1000)::bigint), 12, '0') || '7'
            || substr(md5(id::text || times), 1, 3) || '8' || substr(md5(id::text || times), 4, 15))::uuid $$;";

impl Table {
    async fn copy(&self, admin: &Client) -> anyhow::Result<()> {
        let name = self.name;
        let columns = admin
            .query(
                "select column_name::text, data_type = 'timestamp with time zone' from information_schema.columns \
                 where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER' and is_identity = 'NO' \
                 order by ordinal_position",
                &[&name],
            )
            .await?;
        let value = |column: &str, is_time: bool| {
            let other = self.other.iter().find(|(known, _)| *known == column).map(|(_, other)| (*other).to_owned());
            let moved = if is_time { format!("t.{column} + copies.shift") } else { format!("t.{column}") };
            other.unwrap_or(moved)
        };
        let columns: Vec<(String, bool)> = columns.iter().map(|row| (row.get(0), row.get(1))).collect();
        let values: Vec<_> = columns.iter().map(|(column, is_time)| value(column, *is_time)).collect();
        let names: Vec<_> = columns.iter().map(|(column, _)| column.as_str()).collect();
        let (names, values, joined) = (names.join(", "), values.join(", "), self.joined);
        let insert = format!("insert into {name} ({names}) select {values} from {name} as t join copies on {joined}");
        admin.batch_execute(&insert).await?;
        admin.batch_execute(&format!("vacuum analyze {name}")).await?;
        Ok(())
    }
}
