//! The service behind its HTTP interface.
#![allow(dead_code, reason = "shared by several test programs")]

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use service_kit::http::{Readiness, bind};
use stock_svc::http::{AppState, routes};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::common::*;

pub struct Api {
    pub warehouse: Warehouse,
    pub client: Client,
    pub base: String,
    _stop: DropGuard,
}

impl Api {
    pub async fn over(warehouse: Warehouse) -> Self {
        let stop = CancellationToken::new();
        let state = AppState { pool: warehouse.db.pool.clone(), nudge: outbox_relay::Nudge::default() };
        let anywhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let server = bind("stock-svc", anywhere, Readiness::default(), stop.clone(), routes(state).unwrap()).unwrap();
        let base = format!("http://127.0.0.1:{}/api/v1", server.port());
        tokio::spawn(server.run());
        Self { warehouse, client: Client::new(), base, _stop: stop.drop_guard() }
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        let request = self.client.request(method, format!("{}{path}", self.base));
        let request = if let Some(body) = body { request.json(body) } else { request };
        request.send().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Value {
        self.expect(Method::GET, path, None, 200).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.expect(Method::POST, path, Some(&body), 201).await
    }

    pub async fn expect(&self, method: Method, path: &str, body: Option<&Value>, status: u16) -> Value {
        let answer = self.send(method, path, body).await;
        let (given, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(given, status, "{path}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// A POST under this key: its status and its body.
    pub async fn once(&self, key: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.base)).header("Idempotency-Key", key);
        let answer = request.json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Expects a problem of this status and, for bad input, the field that it names.
    pub async fn refuses(&self, method: Method, path: &str, body: &str, status: u16, field: Option<&str>) {
        let answer = self.client.request(method.clone(), format!("{}{path}", self.base)).body(body.to_owned());
        let answer = answer.header("content-type", "application/json").send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        let given = answer.status().as_u16();
        let problem: Value = answer.json().await.unwrap();
        let what = format!("{method} {path} {body}: {problem}");
        assert_eq!((given, kind.as_str()), (status, "application/problem+json"), "{what}");
        assert_eq!(problem["status"], status, "{what}");
        assert_eq!(problem["errors"][0]["field"].as_str(), field, "{what}");
    }
}

pub fn earl_grey() -> Value {
    json!({"sku": "TEA", "name": "Earl Grey", "brand": null, "description": "With bergamot.", "category": null,
        "price": {"amount": 1299, "currency": "EUR"}, "on_hand": 10})
}
