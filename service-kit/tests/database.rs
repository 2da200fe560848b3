//! Pool and migrations, on a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use diesel_async::RunQueryDsl;
use secrecy::SecretString;
use service_kit::config::DatabaseConfig;
use service_kit::testing::TestDb;
use service_kit::{migrate, pool};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_opened_from_another_runtime_outlives_it_and_is_not_stalled_by_it() {
    let db = TestDb::new(&[]).await;
    let pool = db.pool.clone();
    // As an actix worker does: a single-threaded runtime of its own opens the connection, then it is busy, then gone.
    let worker = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let conn = runtime.block_on(async { pool.get().await.unwrap() });
        (runtime, conn)
    });
    let (runtime, mut conn) = worker.join().unwrap();
    let started = Instant::now();
    diesel::sql_query("select 1").execute(&mut conn).await.unwrap(); // nobody drives that runtime now
    assert!(started.elapsed() < Duration::from_secs(10));
    drop(std::thread::spawn(move || drop(runtime)).join());
    diesel::sql_query("select 1").execute(&mut conn).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_database_is_told_at_once_and_without_the_password() {
    let db = TestDb::new(&[]).await;
    let mut url = url::Url::parse(&db.url).unwrap();
    url.set_path("/nowhere");
    let _ = url.set_password(Some("hunter2"));
    let config = DatabaseConfig { url: SecretString::from(url.to_string()), pool_size: 2 };
    let told = match tokio::time::timeout(Duration::from_secs(10), pool::open(&config)).await {
        Ok(Ok(_)) => panic!("there is no such database"),
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => panic!("it waits for what never comes"),
    };
    assert!(told.contains("/nowhere") && !told.contains("hunter2"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_newer_than_the_program_is_refused_and_left_alone() {
    let db = TestDb::new(&[]).await;
    let mut conn = db.conn().await;
    for statement in [
        "create table if not exists __diesel_schema_migrations (version varchar(50) primary key, run_on timestamp not null default now())",
        "insert into __diesel_schema_migrations (version) values ('29990101000000')",
    ] {
        diesel::sql_query(statement).execute(&mut conn).await.unwrap();
    }
    let told = migrate::migrate(&SecretString::from(db.url.clone()), &[]).await.unwrap_err();
    let told = format!("{told:#}");
    assert!(told.contains("newer than this program") && told.contains("29990101000000"), "{told}");
}
