//! The queue of mails when it is long and the mail server is away, on a real PostgreSQL; the server is a mock, as it is the
//! edge.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::*;
use diesel::sql_types::{Array, BigInt, Integer, Json, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::SimpleAsyncConnection;
use notification_svc::delivery::{Deliveries, Message, Sender, Sending};
use notification_svc::domain::{Channel, SendError, Template};
use notification_svc::store::notifications::{LEASE_SECONDS, TAKE_DUE};
use service_kit::external_calls::{ExternalCalls, Worker};
use service_kit::testing::{Running, TestDb, eventually};
use shared_events::*;

const SOON: Duration = Duration::from_secs(60);
/// As many as the worker has room for.
const AT_ONCE: i64 = 8;

/// A statement may take so long and no longer.
const ORDERS_AT_ONCE: usize = 10_000;

/// Queues `orders` orders with four mails each; of each order the first is to be sent, and the others wait for it.
async fn queue_up(db: &TestDb, orders: i64) {
    let mut conn = db.conn().await;
    // a million look-ups of foreign keys would take most of the time
    conn.batch_execute("set session_replication_role = replica").await.unwrap();
    for first in (1..=orders).step_by(ORDERS_AT_ONCE) {
        let last = orders.min(first + ORDERS_AT_ONCE as i64 - 1);
        let fill = format!(
            "insert into orders (order_id, customer_name, customer_email)
                select uuid_in(md5('order ' || o)::cstring), 'Ann Lee', 'ann@example.com'
                from generate_series({first}, {last}) o on conflict do nothing;
             insert into notifications (id, order_id, template, event_id, happened_at, recipient, subject, body, due_at, ready)
                select gen_random_uuid(), uuid_in(md5('order ' || o)::cstring), template, gen_random_uuid(), now() + nr * interval '1 second',
                       'ann@example.com', 'subject', 'body', now() - interval '8 hours' + o * interval '1 ms', nr = 1
                  from generate_series({first}, {last}) o,
                       unnest('{{order_placed,order_confirmed,shipment_dispatched,shipment_delivered}}'::text[])
                            with ordinality as mails (template, nr)"
        );
        conn.batch_execute(&fill).await.unwrap();
    }
}

#[derive(QueryableByName)]
struct Plan {
    #[diesel(sql_type = Json, column_name = "QUERY PLAN")]
    plan: serde_json::Value,
}

/// How many pages the real statement touches.
async fn pages_of_a_take(db: &TestDb) -> i64 {
    use diesel_async::RunQueryDsl;
    let mut conn = db.conn().await;
    let numbered: String = TAKE_DUE
        .split('?')
        .enumerate()
        .map(|(n, part)| match n {
            0 => part.to_owned(),
            n => format!("${n}{part}"),
        })
        .collect();
    let explained = sql_query(format!("explain (analyze, buffers, format json) {numbered}"))
        .bind::<Integer, _>(LEASE_SECONDS)
        .bind::<Text, _>(Channel::Email.as_str())
        .bind::<BigInt, _>(AT_ONCE)
        .bind::<Array<Text>, _>(Template::PROGRESS.map(Template::name).to_vec())
        .bind::<Text, _>(Template::OrderAddressChanged.name());
    let plan: Plan = explained.get_result(&mut conn).await.unwrap();
    let whole = &plan.plan[0]["Plan"];
    assert_eq!(whole["Actual Rows"].as_f64(), Some(AT_ONCE as f64), "{:#}", plan.plan);
    whole["Shared Hit Blocks"].as_i64().unwrap() + whole["Shared Read Blocks"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn taking_from_a_million_waiting_messages_reads_hardly_more_than_taking_from_a_thousand() {
    let (few, many) =
        (TestDb::new(&notification_svc::migrations()).await, TestDb::new(&notification_svc::migrations()).await);
    queue_up(&few, 250).await;
    queue_up(&many, 250_000).await;
    for analyzed in [false, true] {
        if analyzed {
            for db in [&few, &many] {
                db.conn().await.batch_execute("analyze").await.unwrap();
            }
        }
        pages_of_a_take(&many).await;
        let (of_few, of_many) = (pages_of_a_take(&few).await, pages_of_a_take(&many).await);
        assert!(of_many <= 3 * of_few, "{of_few} pages with a thousand messages, {of_many} with a million");
    }
    // test databases stay until the server goes: half a gigabyte must not
    many.conn().await.batch_execute("truncate notifications, html_letters").await.unwrap();
}

/// A mail server that is away until it is told to be back, and counts.
#[derive(Clone, Default)]
struct Server(Arc<Counts>);

#[derive(Default)]
struct Counts {
    back: AtomicBool,
    refused: AtomicUsize,
    taken: AtomicUsize,
}

impl Server {
    fn refused(&self) -> usize {
        self.0.refused.load(Ordering::SeqCst)
    }

    fn taken(&self) -> usize {
        self.0.taken.load(Ordering::SeqCst)
    }
}

impl Sender for Server {
    fn send(&self, _: Message) -> Sending {
        let back = self.0.back.load(Ordering::SeqCst);
        let counted = if back { &self.0.taken } else { &self.0.refused };
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { if back { Ok(()) } else { Err(SendError::unavailable("connection refused")) } })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_costs_a_probe_a_second_and_no_message_a_try() {
    let mut shop = Shop::new().await;
    for _ in 0..50 {
        shop.hear(placed(OrderId::new())).await;
    }
    let server = Server::default();
    let deliveries = Deliveries::new(shop.db.pool.clone(), Channel::Email, Arc::new(server.clone()), || {});
    let began = Instant::now();
    let worker = Running::start(|stop| Worker::new("mail", deliveries, AT_ONCE as usize).run(stop));
    eventually("it was probed again and again", SOON, async || server.refused() >= AT_ONCE as usize + 3).await;
    let seconds = began.elapsed().as_secs() as usize;
    assert!(server.refused() <= AT_ONCE as usize + seconds + 1, "{} in {seconds} s", server.refused());

    let kept = "select 1 from notifications where error_code = 'server_away' and last_error = 'connection refused' \
                and failing_since <= now()";
    let kept = diesel_async::RunQueryDsl::execute(sql_query(kept), &mut *shop.db.conn().await).await.unwrap();
    assert!(kept >= AT_ONCE as usize, "why they wait is kept with {kept} messages that were tried");
    server.0.back.store(true, Ordering::SeqCst);
    eventually("all are sent", SOON, async || server.taken() == 50).await;
    worker.end().await;
    let messages = shop.messages().await;
    assert!(messages.iter().all(|message| (message.status.as_str(), message.attempts) == ("sent", 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_take_turns_so_that_no_single_message_stands_for_all() {
    let mut shop = Shop::new().await;
    for _ in 0..3 {
        shop.hear(placed(OrderId::new())).await;
    }
    let deliveries = Deliveries::new(shop.db.pool.clone(), Channel::Email, Arc::new(Server::default()), || {});
    let mut probed = Vec::new();
    for _ in 0..3 {
        let due = deliveries.take(1).await.unwrap().remove(0);
        probed.push(due.id);
        Shop::performs(&deliveries, [due]).await;
    }
    probed.sort();
    probed.dedup();
    assert_eq!(probed.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_no_longer_true_do_not_use_up_the_probes() {
    let mut shop = Shop::new().await;
    let mut orders = Vec::new();
    for _ in 0..20 {
        let order = OrderId::new();
        shop.hear(placed(order)).await;
        orders.push(order);
    }
    let server = Server::default();
    let deliveries = Deliveries::new(shop.db.pool.clone(), Channel::Email, Arc::new(server.clone()), || {});
    let worker = Running::start(|stop| Worker::new("mail", deliveries, AT_ONCE as usize).run(stop));
    eventually("the server is known to be away", SOON, async || server.refused() > 0).await;
    for order in orders {
        shop.hear(OrderCancelRequested { order_id: order, reason: CancelReason::Customer }).await;
    }
    let before = server.refused();
    eventually("all are suppressed", SOON, async || shop.told().await.iter().all(|(_, status)| status == "suppressed"))
        .await;
    assert!(
        server.refused() - before <= AT_ONCE as usize + 2,
        "twenty in the time of a probe or two, not a second each"
    );
    worker.end().await;
}
