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

mod authority;
mod database;
mod examples;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel::connection::{Instrumentation, InstrumentationEvent};
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::Pool;
use crate::housekeeping::{self, TimeToLive};

pub use authority::Authority;
pub use database::{TestDb, on_one_thread, one_connection, rows};
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

/// A task that runs until it is told to stop: a service, a relay, a worker. Dropping this tells it, too.
#[derive(Debug)]
pub struct Running<T> {
    stop: DropGuard,
    task: JoinHandle<T>,
}

impl<T: Send + 'static> Running<T> {
    /// Starts the task that `task` makes of the token by which it is told to stop.
    pub fn start<F: Future<Output = T> + Send + 'static>(task: impl FnOnce(CancellationToken) -> F) -> Self {
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(task(stop.clone())), stop: stop.drop_guard() }
    }

    /// Tells it to stop, and returns what it ends with.
    pub async fn end(self) -> T {
        self.end_and(|| {}).await
    }

    /// Tells it to stop, does something before it may have ended, and returns what it ends with.
    pub async fn end_and(self, meanwhile: impl FnOnce()) -> T {
        drop(self.stop);
        meanwhile();
        self.task.await.unwrap()
    }
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
