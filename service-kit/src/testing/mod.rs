//! Helpers for the tests of services: a database for each test, Kafka's address, waiting for a condition.
//!
//! They start no servers. `make test` starts PostgreSQL and Kafka once for all tests and passes their addresses in
//! `TEST_DATABASE_URL` (with a superuser) and `TEST_KAFKA_BOOTSTRAP`.
#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "for tests alone: a test fails by panicking"
)]

mod examples;

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel::connection::{Instrumentation, InstrumentationEvent};
use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::{OptionalExtension, sql_query};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl};
use diesel_migrations::EmbeddedMigrations;
use secrecy::SecretString;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::config::DatabaseConfig;
use crate::housekeeping::{self, TimeToLive};
use crate::{Pool, migrate, pool};

pub use examples::{ExampleRequest, example_requests, faults_of_examples};

/// The path at which a server under test lists its routes.
pub const ROUTES: &str = "/testing/routes";

/// The ways in which the document at `/openapi.json` differs from the server's routes, which the server lists at
/// [`ROUTES`].
pub fn faults_of(document: &serde_json::Value, routes: &serde_json::Value) -> Vec<String> {
    use std::collections::BTreeSet;
    let mut faults = Vec::new();
    if document["openapi"] != "3.1.0" {
        faults.push(format!("openapi is {}, expected 3.1.0", document["openapi"]));
    }
    let mut documented = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            documented.insert(format!("{} {path}", method.to_uppercase()));
            if !ids.insert(operation["operationId"].as_str().unwrap_or_default()) {
                faults.push(format!("{method} {path}: its operationId {} is not its own", operation["operationId"]));
            }
            for (status, answer) in operation["responses"].as_object().unwrap() {
                if answer["description"].as_str().is_none_or(str::is_empty) {
                    faults.push(format!("{method} {path}: {status} is not described"));
                }
            }
        }
    }
    let routed: BTreeSet<String> = routes
        .as_array()
        .unwrap()
        .iter()
        .filter(|route| route["full_path"] != ROUTES)
        .flat_map(|route| {
            let methods = route["methods"].as_array().unwrap();
            methods
                .iter()
                .map(|method| format!("{} {}", method.as_str().unwrap(), route["full_path"].as_str().unwrap()))
        })
        .collect();
    faults.extend(routed.difference(&documented).map(|route| format!("{route} is not in the document")));
    faults.extend(documented.difference(&routed).map(|route| format!("{route} is in the document alone")));
    unresolved(document, document, &mut faults);
    faults
}

fn unresolved(document: &serde_json::Value, part: &serde_json::Value, faults: &mut Vec<String>) {
    if let Some(reference) = part.get("$ref").and_then(serde_json::Value::as_str)
        && document.pointer(reference.trim_start_matches('#')).is_none()
    {
        faults.push(format!("{reference} is not there"));
    }
    let (parts, fields) = (part.as_array(), part.as_object());
    for inner in parts.into_iter().flatten().chain(fields.into_iter().flat_map(serde_json::Map::values)) {
        unresolved(document, inner, faults);
    }
}

/// A migrated database that belongs to one test. It is cloned from a template, which is made once for each set of
/// migrations.
pub struct TestDb {
    /// Connections to it.
    pub pool: Pool,
    /// Its URL.
    pub url: String,
}

impl TestDb {
    /// Clones the template of these migrations. Needs `#[tokio::test(flavor = "multi_thread")]`.
    pub async fn new(sources: &[EmbeddedMigrations]) -> Self {
        let template = template(sources).await;
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        let mut admin = admin().await;
        // Only one connection can clone a template at a time, so this waits for a lock.
        locked(&mut admin, &template, async |admin| {
            sql_query(format!("create database {name} template {template} strategy wal_log"))
                .execute(admin)
                .await
                .unwrap();
        })
        .await;
        let url = database_url(&name);
        let config = DatabaseConfig { url: SecretString::from(url.clone()), pool_size: 40 };
        Self { pool: pool::open(&config).await.unwrap(), url }
    }

    /// A connection from the pool.
    pub async fn conn(&self) -> pool::Conn {
        self.pool.get().await.unwrap()
    }
}

/// A pool of one connection to this database, so that a test knows which one is used.
pub async fn one_connection(url: &str) -> Pool {
    pool::open(&DatabaseConfig { url: SecretString::from(url), pool_size: 1 }).await.unwrap()
}

/// Runs a test's work on a thread that does nothing else, with a pool of one connection that is driven by the same thread:
/// what the work sends without waiting is sent at once, so that round trips are the same each time.
pub async fn on_one_thread(url: String, work: impl AsyncFnOnce(&Pool) + Send + 'static) {
    let done = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { work(&one_connection(&url).await).await });
    });
    done.await.unwrap();
}

/// Deletes all expired rows and returns how many there were.
pub async fn prune_all(pool: &Pool, rules: &[TimeToLive]) -> i64 {
    let mut rows = 0;
    for rule in rules {
        rows += housekeeping::prune(pool, rule, &CancellationToken::new()).await.unwrap().rows;
    }
    rows
}

/// The bootstrap address of the brokers that tests use.
pub fn kafka_bootstrap() -> String {
    variable("TEST_KAFKA_BOOTSTRAP")
}

/// A unique name, for a topic or a consumer group.
pub fn unique(stem: &str) -> String {
    format!("{stem}-{}", uuid::Uuid::now_v7().simple())
}

/// Waits until `condition` holds, and fails the test if it doesn't within `deadline`.
pub async fn eventually<F: Future<Output = bool>>(what: &str, deadline: Duration, mut condition: impl FnMut() -> F) {
    let end = Instant::now() + deadline;
    while !condition().await {
        assert!(Instant::now() < end, "{what}: not within {deadline:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn template(sources: &[EmbeddedMigrations]) -> String {
    let mut hasher = DefaultHasher::new();
    for source in sources {
        let migrations = MigrationSource::<Pg>::migrations(source).unwrap();
        migrations.iter().for_each(|migration| migration.name().to_string().hash(&mut hasher));
    }
    // A migration's text may change while it is being written, so each build of a test binary has its own template.
    std::env::current_exe().ok().and_then(|exe| exe.metadata().ok()?.modified().ok()).hash(&mut hasher);
    let name = format!("template_{:016x}", hasher.finish());
    let mut admin = admin().await;
    locked(&mut admin, &name, async |admin| {
        let known: Option<Name> = sql_query("select datname::text as name from pg_database where datname = $1")
            .bind::<diesel::sql_types::Text, _>(&name)
            .get_result(admin)
            .await
            .optional()
            .unwrap();
        if known.is_none() {
            // The template is built under another name and renamed once it is complete, so that a killed test leaves
            // no half-made template.
            let raw = format!("{name}_raw");
            sql_query(format!("drop database if exists {raw} with (force)")).execute(admin).await.unwrap();
            sql_query(format!("create database {raw}")).execute(admin).await.unwrap();
            migrate::migrate(&SecretString::from(database_url(&raw)), sources).await.unwrap();
            eventually("the migration's connection has ended", Duration::from_secs(10), async || {
                let mut other = self::admin().await;
                sql_query(format!("alter database {raw} rename to {name}")).execute(&mut other).await.is_ok()
            })
            .await;
        }
    })
    .await;
    name
}

#[derive(diesel::QueryableByName)]
struct Name {
    #[diesel(sql_type = diesel::sql_types::Text)]
    #[expect(dead_code, reason = "only its presence counts")]
    name: String,
}

async fn locked(admin: &mut AsyncPgConnection, name: &str, work: impl AsyncFnOnce(&mut AsyncPgConnection)) {
    sql_query("set lock_timeout = '120s'; ").execute(admin).await.unwrap();
    sql_query("set statement_timeout = '120s'").execute(admin).await.unwrap();
    sql_query(format!("select pg_advisory_lock(hashtext('{name}'))")).execute(admin).await.unwrap();
    work(admin).await;
    sql_query(format!("select pg_advisory_unlock(hashtext('{name}'))")).execute(admin).await.unwrap();
}

async fn admin() -> AsyncPgConnection {
    pool::connect(&variable("TEST_DATABASE_URL")).await.expect("TEST_DATABASE_URL answers")
}

fn database_url(name: &str) -> String {
    let mut url = url::Url::parse(&variable("TEST_DATABASE_URL")).expect("TEST_DATABASE_URL is a URL of one host");
    url.set_path(name);
    url.to_string()
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run the tests with `make test`, which starts PostgreSQL and Kafka")
    })
}

/// The statements that a connection sends, for tests that count them.
#[derive(Clone, Debug, Default)]
pub struct Statements(Arc<Mutex<Vec<String>>>);

impl Statements {
    /// Records the statements of this connection from now on.
    pub fn of(conn: &mut AsyncPgConnection) -> Self {
        let statements = Self::default();
        conn.set_instrumentation(statements.clone());
        statements
    }

    /// The statements since the last call, in lower case and without quotes, including `begin` and `commit`.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Instrumentation for Statements {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            self.0.lock().unwrap().push(query.to_string().to_lowercase().replace('"', ""));
        }
    }
}
