//! A relay whose role is not the service's own: it can do all of its work and nothing else.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod support;

use std::process::Stdio;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use outbox_relay::republish::{Window, send_again};
use outbox_relay::{Relay, State, grant, parked};
use secrecy::SecretString;
use service_kit::pool;
use service_kit::testing::{TestDb, eventually, kafka_bootstrap, unique};
use support::{
    SOON, Traffic, commit, first_appearances, holds, large, read, relay_to_tests_kafka, row, topic, used_database,
};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStderr, Command};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A role that may connect, and nothing more.
async fn new_role(db: &TestDb) -> (String, String) {
    let role = unique("relay");
    let make = format!("create role \"{role}\" login password 'secret'");
    db.run(&make).await;
    let mut url = url::Url::parse(&db.url).unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("secret")).unwrap();
    (role, url.to_string())
}

fn run(db: &TestDb, url: &str) -> (outbox_relay::Health, DropGuard) {
    let mut config = relay_to_tests_kafka(db);
    config.database_url = SecretString::from(url.to_owned());
    let (relay, stop) = (Relay::to_kafka(config), CancellationToken::new());
    let health = relay.health();
    tokio::spawn(relay.run(stop.clone()));
    (health, stop.drop_guard())
}

/// The processes that serve the role's sessions.
async fn sessions(db: &TestDb, role: &str) -> String {
    let pids = format!("select string_agg(pid::text, ', ') as pids from pg_stat_activity where usename = '{role}'");
    db.row(pids).await
}

async fn refused(conn: &mut AsyncPgConnection, statement: &str) -> bool {
    conn.batch_execute(statement).await.is_err_and(|error| error.to_string().contains("permission denied"))
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_role_with_what_is_granted_publishes_parks_retries_and_discards_in_one_session() {
    let (db, topic) = (used_database().await, topic(&[("max.message.bytes", "20000")]).await);
    let (role, url) = new_role(&db).await;
    grant(&mut *db.conn().await, &role).await.unwrap();
    let (health, _running) = run(&db, &url);
    eventually("it leads", SOON, async || health.state() == State::Leading).await;
    let sessions = sessions(&db, &role).await;

    let traffic = Traffic::start(&db, &topic);
    commit(&db, vec![large(&topic, "bad", 1, 40_000), row(&topic, "bad", 2), large(&topic, "worse", 1, 40_000)]).await;
    eventually("both keys are parked", SOON, async || db.count("outbox_parked").await == 3).await;
    let rows = traffic.end().await;
    eventually("the others are published", SOON, async || db.count("outbox").await == 0).await;

    // asked for by an operator who has no other role either
    let mut operator = pool::connect(&url).await.unwrap();
    let listed = parked::list(&mut operator, 0, 10).await.unwrap();
    parked::retry(&mut operator, &topic, "worse").await.unwrap();
    eventually("it is tried and refused again", SOON, async || {
        holds(&db, "not exists (select from outbox_parked where asked is not null)").await
    })
    .await;
    for row in listed.iter().filter(|row| row.reason.is_some()) {
        parked::discard(&mut operator, row.id).await.unwrap();
    }
    eventually("nothing is parked", SOON, async || db.count("outbox_parked").await == 0).await;
    let seen = first_appearances(&read(&topic).await);
    assert_eq!((&seen["bad"], &seen["traffic-0"]), (&vec![2], &(0..rows).collect()));
    // it would have started over, had any statement been refused, the gauges' and the head's included
    assert_eq!(health.state(), State::Leading);
    let left = format!("(select count(*) from pg_stat_activity where pid in ({sessions})) = 2");
    assert!(holds(&db, &left).await, "{sessions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_with_what_is_granted_keeps_what_it_publishes_and_lets_what_is_over_go() {
    let (db, topic) = (used_database().await, topic(&[]).await);
    let old = "create table old partition of outbox_archive for values from ('2020-01-01') to ('2020-01-02')";
    db.run(old).await;
    let (role, url) = new_role(&db).await;
    grant(&mut *db.conn().await, &role).await.unwrap();
    let mut config = relay_to_tests_kafka(&db).archive("7d".parse().ok());
    config.database_url = SecretString::from(url.clone());
    commit(&db, vec![row(&topic, "k", 1)]).await;
    let mut relay = Relay::to_kafka(config);
    assert!(matches!(relay.run_once().await.unwrap(), outbox_relay::BatchOutcome::Done { published: 1, .. }));
    assert_eq!(db.count("outbox_archive").await, 1);
    assert!(holds(&db, "to_regclass('old') is null").await);

    let mut config = relay_to_tests_kafka(&db);
    config.database_url = SecretString::from(url.clone());
    let sent = send_again(&config, &Window::whole(&topic), &CancellationToken::new()).await;
    assert_eq!(sent.unwrap(), 1, "and sends it again");

    let mut conn = pool::connect(&url).await.unwrap();
    let in_the_way = "create temp table outbox_archive_state (one bool, kept interval, whole_since timestamptz)";
    conn.batch_execute(in_the_way).await.unwrap();
    conn.batch_execute("select outbox_archive_tend(null)").await.unwrap();
    assert!(holds(&db, "(select whole_since is null from outbox_archive_state)").await, "the owner's table was meant");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_relays_work_is_refused_to_its_role() {
    let db = used_database().await;
    db.run("create table customers (name text)").await;
    let (role, url) = new_role(&db).await;
    grant(&mut *db.conn().await, &role).await.unwrap();
    let mut conn = pool::connect(&url).await.unwrap();
    for statement in [
        "select from customers",
        "select from __diesel_schema_migrations",
        "insert into customers values ('x')",
        "create table mine (n int)",
        "insert into outbox (event_id, topic, key, headers, payload) values (gen_random_uuid(), 't', 'k', '[]', '')",
        "update outbox set payload = ''",
        "select nextval('outbox_id_seq')",
        "update outbox_parked set payload = ''",
        "truncate outbox",
        "delete from outbox_archive",
        "update outbox_archive set payload = ''",
        "update outbox_archive_state set whole_since = '2020-01-01'",
    ] {
        assert!(refused(&mut conn, statement).await, "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_waits_for_tables_and_rights_that_are_not_there_yet_and_goes_on_by_itself() {
    let (db, topic) = (TestDb::new(&[]).await, topic(&[]).await);
    let (role, url) = new_role(&db).await;
    let mut worker = Command::new(env!("CARGO_BIN_EXE_outbox-relay"))
        .env("OUTBOX_RELAY_DATABASES", &url)
        .env("KAFKA_BOOTSTRAP_SERVERS", kafka_bootstrap())
        .env("METRICS_ADDR", "127.0.0.1:0")
        .kill_on_drop(true)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(worker.stderr.take().unwrap()).lines();
    says(&mut log, "the tables outbox, outbox_parked and outbox_archive are not all there").await;
    service_kit::migrate::migrate(&SecretString::from(db.url.clone()), &[outbox_relay::MIGRATIONS]).await.unwrap();
    commit(&db, vec![row(&topic, "k", 1)]).await;
    let lacking = says(&mut log, "lacks select on outbox, delete on outbox, select on sequence outbox_id_seq, ").await;
    assert!(lacking.contains(&format!("OUTBOX_RELAY_ROLE={role}")), "{lacking}");
    grant(&mut *db.conn().await, &role).await.unwrap();
    eventually("it publishes", SOON, async || db.count("outbox").await == 0).await;
}

async fn says(log: &mut Lines<BufReader<ChildStderr>>, words: &str) -> String {
    let said = async {
        loop {
            let line = log.next_line().await.unwrap().unwrap();
            if line.contains(words) {
                return line;
            }
        }
    };
    timeout(SOON, said).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_not_there_is_named_with_the_variable() {
    let db = used_database().await;
    let told = grant(&mut *db.conn().await, "order_rely").await.unwrap_err().to_string();
    assert!(told.contains("OUTBOX_RELAY_ROLE is \"order_rely\"") && told.contains("no such role"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_grant_at_once_and_a_name_is_never_taken_for_sql() {
    let db = used_database().await;
    let role = format!("{}\" superuser; --", unique("relay"));
    db.conn().await.batch_execute(&format!("create role \"{}\"", role.replace('"', "\"\""))).await.unwrap();
    let grants = (0..6).map(|_| async { grant(&mut *db.conn().await, &role).await });
    for granted in futures_util::future::join_all(grants).await {
        granted.unwrap();
    }
}
