//! What is stuck is named: by the lock's holder, its age and its statement.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::kafka::{Member, Producer, SOON, config, topic};
use common::{Notebook, database};
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use service_kit::config::{LogFormat, TelemetryConfig};
use service_kit::consumer::Subscription;
use service_kit::testing::{TestDb, eventually, unique};
use service_kit::{locks, open_transactions, telemetry};

#[derive(diesel::QueryableByName)]
struct Told {
    #[diesel(sql_type = Text)]
    why: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_lock_learns_who_holds_it_for_how_long_and_what_it_did_without_its_values() {
    let db = TestDb::new(&[]).await;
    let mut holder = db.conn().await;
    holder.batch_execute("create table levels as select 'MUG-1' as sku, 7 as on_hand").await.unwrap();
    holder.batch_execute("set application_name = 'a psql'").await.unwrap();
    holder.batch_execute("begin").await.unwrap();
    holder.batch_execute("update levels set on_hand = 4711 where sku = 'MUG-1'").await.unwrap();
    let mut waiting = db.conn().await;
    let waits = waiting.backend();
    let work = tokio::spawn(async move {
        waiting.batch_execute("update levels set on_hand = 1").await.unwrap();
    });
    eventually("the holder is named", Duration::from_secs(9), async || {
        let mut conn = db.conn().await;
        let holders = locks::holders(&mut conn, waits).await.unwrap();
        holders.iter().any(|held| {
            assert!(!held.statement.contains("4711") && !held.statement.contains("MUG-1"), "{held:?}");
            held.pid == holder.backend()
                && (held.application.as_str(), held.state.as_str()) == ("a psql", "idle in transaction")
                && held.age_seconds.is_some()
                && held.statement == "update levels set on_hand = ? where sku = ?"
        })
    })
    .await;
    eventually("an operator is told after three seconds", Duration::from_secs(9), async || {
        let mut conn = db.conn().await;
        let told: Vec<Told> = diesel::sql_query(locks::waiting()).load(&mut conn).await.unwrap();
        let holder = format!("backend {} (", holder.backend());
        told.iter().any(|told| {
            told.why.contains(&holder)
                && told.why.contains("a psql), which is idle in transaction in a transaction of ")
                && told.why.ends_with(" s: update levels set on_hand = ? where sku = ?")
        })
    })
    .await;
    assert!(locks::holders(&mut *db.conn().await, holder.backend()).await.unwrap().is_empty());
    holder.batch_execute("rollback").await.unwrap();
    work.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_transaction_is_named_with_its_age_and_says_whether_it_keeps_dead_rows() {
    let db = TestDb::new(&[]).await;
    let mut holder = db.conn().await;
    holder.batch_execute("create table levels as select 'MUG-1' as sku, 7 as on_hand").await.unwrap();
    holder.batch_execute("set application_name = 'a psql'; begin isolation level repeatable read").await.unwrap();
    holder.batch_execute("select from levels where sku = 'MUG-1'").await.unwrap();
    let backend = format!("backend {} (", holder.backend());
    let named = async || {
        let held: Vec<Told> = diesel::sql_query(open_transactions::held()).load(&mut *db.conn().await).await.unwrap();
        held.into_iter().map(|held| held.why).find(|why| why.starts_with(&backend))
    };
    eventually("it is named after five seconds", Duration::from_secs(12), async || named().await.is_some()).await;
    let why = named().await.unwrap();
    assert!(why.contains("a psql) is idle in transaction in a transaction of "), "{why}");
    assert!(why.contains(" and keeps rows that died in the last "), "{why}");
    assert!(why.ends_with(": select from levels where sku = ?"), "{why}");
    let oldest = async || open_transactions::oldest_seconds(&mut *db.conn().await).await.unwrap();
    assert!(oldest().await >= 5.0);
    holder.batch_execute("rollback").await.unwrap();
    assert_eq!((named().await, oldest().await), (None, 0.0));
}

/// Locks the table that what is heard goes into.
async fn hold(holder: &mut AsyncPgConnection) {
    holder.batch_execute("begin; lock table heard in exclusive mode").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_is_told_to_wait_for_a_lock_only_while_it_does_however_its_wait_ends() {
    let recorded = TelemetryConfig { format: LogFormat::Json, filter: "warn".to_owned(), tracing: None };
    telemetry::init("test", &recorded).unwrap();
    let (db, topic, producer) = (database().await, topic(1).await, Producer::new());
    let told = || {
        let rendered = telemetry::render_metrics();
        let of_lane = |line: &&str| line.starts_with("consumer_lane_waits_for_lock{") && line.contains(&topic);
        rendered.lines().find(of_lane).and_then(|line| line.rsplit(' ').next()?.parse().ok())
    };
    let tells = async |value: f64| eventually("it is told", SOON, async || told() == Some(value)).await;
    let mut config = config(&unique("g"));
    config.drain = Duration::from_millis(100);
    let heard_here = vec![Subscription::inbox(&topic)];
    let member = Member::start_as(&db.pool, config, heard_here, Arc::new(Notebook::default()));
    let mut holder = db.conn().await;
    hold(&mut holder).await;
    producer.say(&topic, "k", "1").await;
    tells(1.0).await;
    holder.batch_execute("rollback").await.unwrap();
    tells(0.0).await;

    hold(&mut holder).await;
    producer.say(&topic, "k", "2").await;
    tells(1.0).await;
    // told to stop it is cut off, as the lock is not let go
    member.stop().await;
    assert_eq!(told(), Some(0.0));
}
