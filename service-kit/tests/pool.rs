//! The pool beside servers that fail over, stand still, or are cut off from: on PostgreSQL servers of the tests' own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::time::{Duration, Instant};

use common::server::Server;
use diesel::sql_types::Integer;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use secrecy::SecretString;
use service_kit::Pool;
use service_kit::config::DatabaseConfig;
use service_kit::pool::{self, Share};
use service_kit::testing::{TestDb, eventually};

const SOON: Duration = Duration::from_secs(30);

#[derive(diesel::QueryableByName)]
struct Number {
    #[diesel(sql_type = Integer)]
    number: i32,
}

async fn number(conn: &mut AsyncPgConnection, query: &str) -> diesel::QueryResult<i32> {
    diesel::sql_query(query).get_result::<Number>(conn).await.map(|row| row.number)
}

fn config(url: &str, pool_size: usize) -> DatabaseConfig {
    DatabaseConfig { url: SecretString::from(url.to_owned()), pool_size }
}

async fn open(url: &str) -> Pool {
    pool::open(&config(url, 8)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_pool_leaves_a_database_that_turns_read_only_and_uses_it_again_afterwards() {
    let server = Server::start().await;
    let pool = open(&server.url()).await;
    let kept = pool.get().await.unwrap().backend();
    assert!(kept > 0 && pool::takes_writes(&pool).await.is_ok());

    server.take_writes(false).await;
    eventually("readiness says that nothing can be written", SOON, async || {
        pool::takes_writes(&pool).await.is_err_and(|why| why.contains("takes no writes"))
    })
    .await;
    assert!(pool.get().await.is_err(), "a connection that can't write was handed out");

    server.take_writes(true).await;
    eventually("the pool connects again", SOON, async || pool::takes_writes(&pool).await.is_ok()).await;
    let mut conn = pool.get().await.unwrap();
    assert_ne!(conn.backend(), kept);
    conn.batch_execute("create table written ()").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_write_was_refused_as_read_only_is_not_used_again() {
    let db = TestDb::new(&[]).await;
    let mut conn = db.conn().await;
    let refused = conn.backend();
    conn.batch_execute("begin read only").await.unwrap();
    conn.batch_execute("create table t ()").await.unwrap_err();
    conn.batch_execute("rollback").await.unwrap();
    drop(conn);
    assert_ne!(db.conn().await.backend(), refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_was_planned_while_its_table_was_empty_goes_by_the_index_once_it_has_grown() {
    let db = TestDb::new(&[]).await;
    db.run("create table grown (id integer primary key, body text); analyze grown").await;
    let mut conn = db.conn().await;
    conn.batch_execute("prepare look_up as select body from grown where id = any($1)").await.unwrap();
    for _ in 0..6 {
        conn.batch_execute("execute look_up('{1}')").await.unwrap();
    }
    conn.batch_execute("insert into grown select id, 'x' from generate_series(1, 10000) as id").await.unwrap();
    let rows_read =
        "select coalesce(seq_tup_read, 0)::int as number from pg_stat_xact_user_tables where relname = 'grown'";
    conn.batch_execute("begin").await.unwrap();
    let before = number(&mut conn, rows_read).await.unwrap();
    conn.batch_execute("execute look_up('{1,2}')").await.unwrap();
    assert_eq!(number(&mut conn, rows_read).await.unwrap(), before, "it reads the whole table");
    conn.batch_execute("rollback").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_is_by_default_is_not_left_to_the_database() {
    let db = TestDb::new(&[]).await;
    let name = pool::place(&db.url);
    let name = name.rsplit_once('/').unwrap().1;
    let settings = format!(
        "alter database \"{name}\" set default_transaction_deferrable = on;
        alter database \"{name}\" set default_transaction_isolation = 'serializable'"
    );
    db.run(&settings).await;

    let mut conn = open(&db.url).await.get().await.unwrap();
    let as_expected = "select (current_setting('transaction_deferrable') = 'off'
        and current_setting('transaction_isolation') = 'read committed')::int as number";
    assert_eq!(number(&mut conn, as_expected).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_hosts_the_one_that_takes_writes_is_found_in_either_order() {
    let (standby, primary) = (Server::start().await, Server::start().await);
    standby.take_writes(false).await;
    let (behind, leading) = (standby.postgres.port(), primary.postgres.port());
    let credentials = primary.url();
    // Each cluster has a password of its own, or none: both are asked for by the URL of the one that is to be found.
    let (user, _) = credentials.split_once('@').unwrap();
    let ask = "select inet_server_port() as number";
    for hosts in [[behind, leading], [leading, behind]] {
        for attributes in ["", "?target_session_attrs=read-write"] {
            let url = format!("{user}@127.0.0.1:{},127.0.0.1:{}/postgres{attributes}", hosts[0], hosts[1]);
            let pool = open(&url).await;
            assert_eq!(number(&mut pool.get().await.unwrap(), ask).await.unwrap(), i32::from(leading));
            service_kit::migrate::migrate(&SecretString::from(url.clone()), &[]).await.unwrap();
            let mut alone = pool::connect(&url).await.unwrap();
            assert_eq!(number(&mut alone, ask).await.unwrap(), i32::from(leading));
        }
    }
    assert!(pool::connect(&standby.url()).await.is_err());
    let mut reader = pool::connect_to_read(&standby.url()).await.unwrap();
    assert_eq!(number(&mut reader, "select 7 as number").await.unwrap(), 7);
}

/// The URLs of the ways to a server: its host, a bare address, its Unix socket.
fn ways(server: &Server) -> [String; 3] {
    let url = server.url();
    let (user, _) = url.split_once('@').unwrap();
    let port = server.postgres.port();
    let folder = server.postgres.folder().to_string_lossy().replace('/', "%2F");
    [
        url.clone(),
        format!("{user}@/postgres?hostaddr=127.0.0.1&port={port}"),
        format!("{user}@{folder}:{port}/postgres"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_on_a_server_that_stands_still_ends_and_its_connection_is_not_given_back() {
    let server = Server::start().await;
    for url in ways(&server) {
        let pool = pool::open_within(&config(&url, 8), Duration::from_secs(1)).await.unwrap();
        let mut conn = pool.get().await.unwrap();
        let frozen = conn.backend();
        assert!(frozen > 0, "nobody looks at what comes over {url}");
        server.freeze(&[frozen]);

        let asked = tokio::time::timeout(SOON, number(&mut conn, "select 1 as number")).await;
        let error = asked.expect("the statement hangs for as long as the server stands still").unwrap_err();
        assert!(pool::may_pass(&error), "{error}");
        drop(conn);

        server.thaw(&[frozen]);
        let mut conn = pool.get().await.unwrap();
        assert_ne!(conn.backend(), frozen);
        assert_eq!(number(&mut conn, "select 1 as number").await.unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_writes_is_no_server_over_any_way() {
    let server = Server::start().await;
    server.take_writes(false).await;
    for url in ways(&server) {
        let told = pool::connect(&url).await.err().unwrap().to_string();
        assert!(pool::refuses_writes(&told), "{told}");
        assert_eq!(number(&mut pool::connect_to_read(&url).await.unwrap(), "select 1 as number").await.unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_answers_is_no_excuse_for_a_primary_that_stands_still() {
    let (standby, primary) = (Server::start().await, Server::start().await);
    standby.take_writes(false).await;
    let url = primary.url();
    let (user, _) = url.split_once('@').unwrap();
    let hosts = [standby.postgres.port(), primary.postgres.port()].map(|port| format!("127.0.0.1:{port}")).join(",");
    let url = format!("{user}@{hosts}/postgres");
    let mut conn = pool::connect_for_long_within(&url, Duration::from_secs(1)).await.unwrap();
    let backend = number(&mut conn, "select pg_backend_pid() as number").await.unwrap();
    primary.freeze(&[backend]);
    let asked = tokio::time::timeout(SOON, number(&mut conn, "select 1 as number")).await;
    primary.thaw(&[backend]);
    asked.expect("the statement hangs for as long as the primary stands still").unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_statement_is_waited_for_where_it_may_be_slow_and_the_server_answers() {
    let db = TestDb::new(&[]).await;
    let pool = pool::open_within(&config(&db.url, 8), Duration::from_millis(200)).await.unwrap();
    let mut hurried = pool.get().await.unwrap();
    number(&mut hurried, "select 1 as number from pg_sleep(2)").await.unwrap_err();
    let mut patient = pool::connect_for_long_within(&db.url, Duration::from_millis(200)).await.unwrap();
    assert_eq!(number(&mut patient, "select 1 as number from pg_sleep(2)").await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_is_cut_off_half_way_lets_go_of_its_locks_at_once() {
    let db = TestDb::new(&[]).await;
    db.run("create table goods as select 1 as number").await;
    for wait in ["select 1 as number", "select 1 as number from pg_sleep(60)"] {
        let (pool, (locked, is_locked)) = (db.pool.clone(), tokio::sync::oneshot::channel());
        let work = tokio::spawn(async move {
            let mut conn = pool.get().await.unwrap();
            conn.transaction(async |conn| {
                number(conn, "select number from goods for update").await?;
                locked.send(conn.backend()).unwrap();
                number(conn, wait).await?;
                std::future::pending::<diesel::QueryResult<()>>().await
            })
            .await
        });
        let cut_off = is_locked.await.unwrap();
        work.abort();
        // PostgreSQL would end an idle transaction after 30 s, and a lock's waiter after 10
        eventually("the lock is free", Duration::from_secs(9), async || {
            // not of the pool, which looks at a connection that it hands out
            let mut other = pool::connect(&db.url).await.unwrap();
            number(&mut other, "select number from goods for update nowait").await.is_ok()
        })
        .await;
        assert_ne!(db.conn().await.backend(), cut_off);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_take_all_they_can_leave_lanes_timers_workers_and_upkeep_theirs() {
    let db = TestDb::new(&[]).await;
    let pool = pool::open(&config(&db.url, 8)).await.unwrap();
    let requests = pool.of(Share::Requests);
    let mut held = Vec::new();
    for _ in 0..requests.most() {
        held.push(requests.get().await.unwrap());
    }
    assert!(requests.get().await.is_err(), "requests got more than their share");
    for share in [Share::Lanes, Share::Timers, Share::Workers, Share::Upkeep] {
        let started = Instant::now();
        held.push(pool.of(share).get().await.unwrap());
        assert!(started.elapsed() < Duration::from_secs(5), "{share:?} waited");
    }
}
