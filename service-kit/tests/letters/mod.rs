//! A service that has nothing but dead letters, behind its HTTP interface.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses its part")]

use std::sync::Arc;

use quadrille_testing::{Served, answer};
use reqwest::Method;
use serde_json::{Value, json};
use service_kit::auth::{Access, Guard};
use service_kit::config::KafkaConfig;
use service_kit::consumer::testing::{CONSUMER, react};
use service_kit::consumer::{Consumer, ConsumerConfig, Outcome, Record};
use service_kit::dead_letters;
use service_kit::http::Limits;
use service_kit::http::openapi::Document;
use service_kit::testing::{Running, TestDb};
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;

use crate::common::{Copies, Notebook, database, event};

/// It has no routes of its own.
pub const ACCESS: Access = Access(&[]);

#[derive(OpenApi)]
#[openapi(info(title = "notebook"))]
struct Api;

pub struct Desk {
    pub db: TestDb,
    pub notebook: Arc<Notebook>,
    pub desk: dead_letters::Desk,
    pub served: Served,
}

impl Desk {
    /// Over a new database. Its consumer reads nothing from Kafka: tests hand it its events.
    pub async fn open() -> Self {
        Self::guarded(|_| Guard::for_everybody()).await
    }

    /// The same, for those whom the guard lets in that is made for its database.
    pub async fn guarded(guard: impl FnOnce(&TestDb) -> Guard) -> Self {
        let (db, notebook) = (database().await, Arc::new(Notebook::default()));
        let kafka = KafkaConfig { brokers: "127.0.0.1:1".to_owned().into(), group_instance_id: None };
        let config = ConsumerConfig::new(CONSUMER, &kafka);
        let consumer = Consumer::new(config, Vec::new(), db.pool.clone(), Arc::clone(&notebook), Copies);
        let (document, pool, desk) =
            (Document::of(Api::openapi(), &[], ACCESS).unwrap(), db.pool.clone(), consumer.desk());
        let mounted = desk.clone();
        let (limits, stop) = (Limits::default(), CancellationToken::new());
        let served = Served::guarded("/api/v1/dead-letters", guard(&db), limits, stop, move |config| {
            mounted.mount(config);
            document.routes(config, &pool);
        });
        Self { db, notebook, desk, served }
    }

    /// Hears an event of this key.
    pub async fn hears(&self, key: &str, what: &str) -> Outcome {
        self.hears_record(&event("t", key, what)).await
    }

    pub async fn hears_record(&self, record: &Record) -> Outcome {
        react(&self.db.pool, &*self.notebook, record).await.unwrap()
    }

    /// Makes a dead letter of an event of this key, and returns its number.
    pub async fn fails(&self, key: &str, what: &str) -> i64 {
        assert!(matches!(self.hears(key, what).await, Outcome::DeadLettered(_)));
        self.db.row("select max(id) from dead_letters").await
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.served.read(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.served.request(Method::POST, path).json(body)).await
    }

    /// Works at jobs until it is dropped, as the consumer does.
    pub fn works(&self) -> Running<()> {
        let desk = self.desk.clone();
        Running::start(move |stop| async move { desk.work_at_jobs(&stop).await })
    }

    /// Begins a job on what the body says, and returns its path.
    pub async fn begins(&self, mut body: Value) -> String {
        body["reason"] = json!("it is mended");
        let (status, job) = self.post("/jobs", &body).await;
        assert_eq!((status, &job["state"]), (202, &json!("running")), "{job}");
        format!("/jobs/{}", job["id"].as_str().unwrap())
    }

    /// Waits until the job is in this state, and returns it.
    pub async fn job_is(&self, path: &str, state: &str) -> Value {
        let is = async || self.get(path).await["state"] == state;
        service_kit::testing::eventually(state, std::time::Duration::from_secs(30), is).await;
        self.get(path).await
    }
}
