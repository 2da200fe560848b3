//! Nothing is lost below the read position, nothing overtakes within a key: on real PostgreSQL and real Kafka.

mod support;

use diesel::sql_query;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use outbox_relay::{BatchOutcome, Relay, append};
use service_kit::testing::{Running, TestDb, eventually};
use support::{SOON, Traffic, commit, first_appearances, holds, read, relay_to_tests_kafka, row, topic, used_database};
use tokio_util::sync::CancellationToken;

fn run(db: &TestDb) -> Running<()> {
    Running::start(|stop| Relay::to_kafka(relay_to_tests_kafka(db)).run(stop))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_transactions_the_one_with_the_lower_id_commits_last_and_is_published() {
    let (db, topic) = (used_database().await, topic(&[]).await);
    let _running = run(&db);
    let traffic = Traffic::start(&db, &topic);
    let mut late = AsyncPgConnection::establish(&db.url).await.unwrap();
    late.batch_execute("begin").await.unwrap();
    append(&mut late, row(&topic, "late", 1)).await.unwrap();
    commit(&db, vec![row(&topic, "early", 1)]).await;
    beyond(&db, last_id(&db).await).await;
    late.batch_execute("commit").await.unwrap();
    let rows = traffic.end().await;
    eventually("all is published", SOON, async || db.count("outbox").await == 0).await;
    let seen = first_appearances(&read(&topic).await);
    assert_eq!((&seen["late"], &seen["early"]), (&vec![1], &vec![1]));
    for key in 0..5 {
        assert_eq!(seen[&format!("traffic-{key}")], (0..rows).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_drawn_before_its_transaction_has_an_xid_is_published() {
    let (db, topic) = (used_database().await, topic(&[]).await);
    let _running = run(&db);
    let mut gate = db.conn().await;
    let waits = "exists (select from pg_stat_activity where datname = current_database() and wait_event = 'advisory'
        and query like 'insert into outbox%')";
    let without_an_xid = waits.replace("and wait_event", "and backend_xid is null and wait_event");
    let mut tries = 0..50;
    let (before, writer) = loop {
        assert!(tries.next().is_some(), "each insert got an xid with its id");
        sql_query("select pg_advisory_lock(7)").execute(&mut gate).await.unwrap();
        let (before, url, insert) =
            (last_id(&db).await, db.url.clone(), insert_that_waits_after_drawing_its_id(&topic));
        let writer = tokio::spawn(async move {
            let mut conn = AsyncPgConnection::establish(&url).await.unwrap();
            conn.batch_execute(&insert).await.unwrap();
        });
        eventually("the insert waits", SOON, async || holds(&db, waits).await).await;
        if holds(&db, &without_an_xid).await {
            break (before, writer);
        }
        // The first id after a checkpoint is logged, for which the transaction gets an xid.
        sql_query("select pg_advisory_unlock(7)").execute(&mut gate).await.unwrap();
        writer.await.unwrap();
    };
    assert_eq!(last_id(&db).await, before + 1, "it has drawn its id");
    let traffic = Traffic::start(&db, &topic);
    beyond(&db, before + 1).await;
    assert!(holds(&db, &without_an_xid).await);
    sql_query("select pg_advisory_unlock(7)").execute(&mut gate).await.unwrap();
    writer.await.unwrap();
    traffic.end().await;
    eventually("all is published", SOON, async || db.count("outbox").await == 0).await;
    assert_eq!(first_appearances(&read(&topic).await)["drawn"], [1]);
}

/// The id is the first column of a single row, so it is drawn before the payload is asked for, and the payload waits.
fn insert_that_waits_after_drawing_its_id(topic: &str) -> String {
    format!(
        r#"insert into outbox (event_id, topic, key, headers, payload)
        values (gen_random_uuid(), '{topic}', 'drawn', '[["n","1"]]',
            (select '{{}}'::bytea from pg_advisory_xact_lock_shared(7)))"#
    )
}

async fn last_id(db: &TestDb) -> i64 {
    db.count("generate_series(1, (select last_value from outbox_id_seq))").await
}

/// Waits until the relay has published hundreds of rows above `id`.
async fn beyond(db: &TestDb, id: i64) {
    let condition = format!(
        "(select last_value from outbox_id_seq) > {id} + 500 and not exists (select from outbox where id <= {id} + 100)"
    );
    eventually("the relay is well beyond the open transaction", SOON, async || holds(db, &condition).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_publishes_a_batch_with_its_headers_and_deletes_it() {
    let (db, topic) = (used_database().await, topic(&[]).await);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut traced = row(&topic, "k", 1);
    traced.headers.push(("my_trace".to_owned(), parent.to_owned()));
    commit(&db, vec![traced, row(&topic, "k", 2)]).await;
    let mut relay = Relay::to_kafka(relay_to_tests_kafka(&db).trace_header("my_trace"));
    assert_eq!(relay.run_once().await.unwrap(), BatchOutcome::Done { published: 2, parked: 0 });
    assert_eq!(relay.run_once().await.unwrap(), BatchOutcome::Idle);
    let found = read(&topic).await;
    assert_eq!(first_appearances(&found)["k"], [1, 2]);
    let plain = |record: usize| found[record].headers.iter().find(|header| header.0 == "traceparent").cloned();
    let (_, child) = plain(0).unwrap();
    assert!(child.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && child != parent, "{child}");
    assert_eq!(plain(1), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_relay_stands_by_and_its_nudge_reaches_the_one_that_leads() {
    let (db, topic) = (used_database().await, topic(&[]).await);
    let mut slow = relay_to_tests_kafka(&db);
    slow.idle = std::time::Duration::from_secs(3600);
    let (leader, second) = (Relay::to_kafka(slow.clone()), Relay::to_kafka(slow.clone()));
    let (leads, stands_by, nudge) = (leader.health(), second.health(), second.nudge());
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    tokio::spawn(leader.run(stop.clone()));
    eventually("one leads", SOON, async || leads.state() == outbox_relay::State::Leading).await;
    tokio::spawn(second.run(stop.clone()));
    eventually("one stands by", SOON, async || stands_by.state() == outbox_relay::State::StandingBy).await;
    assert_eq!(Relay::to_kafka(slow).run_once().await.unwrap(), BatchOutcome::StandingBy);
    // By now the leader's waits have grown beyond the test: only a nudge makes it look.
    for number in 1..=12 {
        commit(&db, vec![row(&topic, "k", number)]).await;
        nudge.nudge();
        eventually("the row is published", SOON, async || db.count("outbox").await == 0).await;
    }
    assert_eq!(first_appearances(&read(&topic).await)["k"], (1..=12).collect::<Vec<_>>());
}
