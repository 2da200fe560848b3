//! What `/readyz` answers.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use tokio::time::timeout;

use super::openapi::Ready;
use crate::consumer::ConsumerHandle;
use crate::{Pool, pool};

/// What readiness reports of a failed check that gives no reason.
const FAILING: &str = "failing";

/// One condition of readiness: its name, and a check that may report what is wrong.
pub type Check =
    (&'static str, Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>);

/// The checks of `/readyz`.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Vec<Check>,
    duties: Vec<Check>,
}

impl Readiness {
    /// The checks of every service with a database and a consumer.
    pub fn of(pool: &Pool, consumer: &ConsumerHandle) -> Self {
        let (pool, broker, topics, heard) = (pool.clone(), consumer.clone(), consumer.clone(), consumer.clone());
        Self::default()
            .and_told("database", move || {
                let pool = pool.clone();
                async move { pool::takes_writes(&pool).await }
            })
            .and("broker", move || ready(broker.broker_answers()))
            .and_told("topics", move || ready(topics.topics_are_there()))
            .and("consumer", move || ready(heard.is_well()))
    }

    /// Adds a check, such as `database`.
    #[must_use]
    pub fn and<F>(self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        self.and_told(name, move || {
            let asked = ask();
            async move { if asked.await { Ok(()) } else { Err(FAILING.to_owned()) } }
        })
    }

    /// Adds a check that reports what is wrong.
    #[must_use]
    pub fn and_told<F>(mut self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push((name, Arc::new(move || Box::pin(ask()))));
        self
    }

    /// Adds a check of something that may fail without making the service useless, such as an external server that is
    /// away. A failure makes the service `degraded` but not unready: it serves everything else, and no other instance
    /// could do better.
    #[must_use]
    pub fn and_able<F>(mut self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.duties.push((name, Arc::new(move || Box::pin(ask()))));
        self
    }

    pub(super) async fn answer(&self) -> HttpResponse {
        let mut checks = asked(&self.checks).await;
        let ready = are_well(&checks);
        let duties = asked(&self.duties).await;
        let status = match (ready, are_well(&duties)) {
            (false, _) => "not ready",
            (true, false) => "degraded",
            (true, true) => "ready",
        };
        checks.extend(duties);
        let body = Ready { status, checks };
        if ready { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
    }
}

/// The results of the checks: `ok`, or what is wrong.
async fn asked(checks: &[Check]) -> BTreeMap<&'static str, String> {
    let mut told = BTreeMap::new();
    for (name, ask) in checks {
        let answer = timeout(Duration::from_secs(3), ask()).await;
        let answer = answer.unwrap_or_else(|_| Err(FAILING.to_owned()));
        told.insert(*name, answer.err().unwrap_or_else(|| "ok".to_owned()));
    }
    told
}

fn are_well(told: &BTreeMap<&'static str, String>) -> bool {
    told.values().all(|state| state == "ok")
}
