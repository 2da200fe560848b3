//! How fast stock-svc catches up on orders that wait: `catch_up [ORDERS] [ROUNDS] [BATCH...]`, on the servers that
//! TEST_DATABASE_URL and TEST_KAFKA_BOOTSTRAP name. Several bounds of a lane's batch take turns. Statements are counted where PostgreSQL has pg_stat_statements loaded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement, not a service"
)]
#![allow(clippy::cast_precision_loss, reason = "thousands")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::*;
use diesel::sql_query;
use diesel_async::RunQueryDsl;
use futures_util::future::join_all;
use outbox_relay::{DeadLetters, Nudge};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use service_kit::config::KafkaConfig;
use service_kit::consumer::{Consumer, ConsumerConfig, Subscription};
use service_kit::testing::{kafka_bootstrap, unique};
use shared_events::OrderId;
use stock_svc::reactions::StockReactions;
use tokio_util::sync::CancellationToken;

const PARTITIONS: i32 = 6;
/// A run that has not ended by then never will.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let (orders, rounds) = (arguments.next().unwrap_or(20_000), arguments.next().unwrap_or(1));
    let bounds: Vec<_> = arguments.filter_map(|bound| usize::try_from(bound).ok()).collect();
    let bounds = if bounds.is_empty() { vec![64] } else { bounds };
    println!("batch skus  orders  seconds  events/s  statements/event  commits/event  own CPU us/event");
    for _ in 0..rounds {
        for skus in [50, 1] {
            for bound in &bounds {
                measure(orders, skus, *bound).await;
            }
        }
    }
}

async fn measure(orders: i64, skus: i64, bound: usize) {
    let names: Vec<_> = (0..skus).map(|n| format!("SKU-{n}")).collect();
    let stock: Vec<_> = names.iter().map(|name| (name.as_str(), 1_000_000)).collect();
    let warehouse = Warehouse::with(&stock).await;
    let topic = waiting(orders, &names).await;
    let counts_statements = sql_query("create extension if not exists pg_stat_statements")
        .execute(&mut warehouse.db.conn().await)
        .await
        .is_ok()
        && warehouse.count("pg_settings where name = 'pg_stat_statements.max'").await == 1;
    let before = statements(&warehouse, counts_statements).await;

    let stop = CancellationToken::new();
    let kafka = KafkaConfig { brokers: kafka_bootstrap().into(), group_instance_id: None };
    let mut config = ConsumerConfig::new(unique("stock"), &kafka);
    config.batch_records = bound;
    let reactions = Arc::new(StockReactions { reservation_ttl: TTL, nudge: Nudge::default() });
    let consumer =
        Consumer::new(config, vec![Subscription::inbox(&topic)], warehouse.db.pool.clone(), reactions, DeadLetters);
    let consumer = tokio::spawn(consumer.run(stop.clone()));
    let handled = "generate_series(1, (select coalesce(sum(position), 0)::int from consumer_progress)) as bench";
    // joining the group isn't measured: the clock starts with the first batch
    let deadline = Instant::now() + PATIENCE;
    while warehouse.count(handled).await == 0 {
        assert!(Instant::now() < deadline, "nothing was handled within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let (began, cpu, first) = (Instant::now(), cpu_ticks(), warehouse.count(handled).await);
    while warehouse.count(handled).await < orders {
        assert!(Instant::now() < deadline, "not all was handled within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_ticks() - cpu);
    stop.cancel();
    consumer.await.unwrap().unwrap();

    assert_eq!(warehouse.count("orders where reservation = 'held'").await, orders, "each order is held once");
    assert_eq!(warehouse.count("outbox").await, orders, "and announced once");
    warehouse.books_balance().await;
    let after = statements(&warehouse, counts_statements).await;
    let events = (orders - first) as f64;
    println!(
        "{bound:5} {skus:4} {orders:7} {seconds:8.2} {:9.0} {:17.2} {:14.3} {:17.0}",
        events / seconds,
        (after.0 - before.0) as f64 / orders as f64,
        (after.1 - before.1) as f64 / orders as f64,
        cpu as f64 * 10_000.0 / events,
    );
}

/// A topic in which so many orders wait, of one or two SKUs each, in turn.
async fn waiting(orders: i64, skus: &[String]) -> String {
    let topic = unique("orders");
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", kafka_bootstrap());
    let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
    let new = NewTopic::new(&topic, PARTITIONS, TopicReplication::Fixed(1));
    admin.create_topics([&new], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    let producer: FutureProducer = client.set("partitioner", "murmur2_random").create().unwrap();
    let orders: Vec<_> = (0..usize::try_from(orders).unwrap()).collect();
    for chunk in orders.chunks(2_000) {
        let sent = chunk.iter().map(|n| {
            let (one, other) = (&skus[n % skus.len()], &skus[(n * 7 + 3) % skus.len()]);
            let lines = [(one.as_str(), 1), (other.as_str(), 2)];
            let event = placed(OrderId::new(), if one == other { &lines[..1] } else { &lines });
            let (producer, topic) = (&producer, &topic);
            async move {
                let record = record(&event.into());
                let headers = record
                    .headers
                    .iter()
                    .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(value) }));
                let value = record.value.as_deref().unwrap_or_default();
                let message = FutureRecord::to(topic).key(&record.key).payload(value).headers(headers);
                producer.send(message, Duration::from_secs(60)).await.unwrap();
            }
        });
        join_all(sent).await;
    }
    topic
}

/// Statements and commits of this database so far, without those that look at how far it is.
async fn statements(warehouse: &Warehouse, counted: bool) -> (i64, i64) {
    if !counted {
        return (0, 0);
    }
    let calls = |which: &str| {
        format!(
            "generate_series(1, (select coalesce(sum(calls), 0)::int from pg_stat_statements \
             where dbid = (select oid from pg_database where datname = current_database()) {which})) as bench"
        )
    };
    let commits = warehouse.count(&calls("and query ilike 'commit'")).await;
    (warehouse.count(&calls("and query not like '%bench%'")).await, commits)
}

/// Hundredths of a second that this process has had of the processors.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
