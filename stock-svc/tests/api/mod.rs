//! The service behind its HTTP interface.
#![allow(dead_code, reason = "shared by several test programs")]

use std::ops::Deref;
use std::time::Duration;

use quadrille_testing::{Served, answer};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use service_kit::auth::Guard;
use service_kit::http::Limits;
use shared_events::OrderId;
use stock_svc::http::{AppState, routes};
use tokio_util::sync::CancellationToken;

use crate::common::*;

pub struct Api {
    pub warehouse: Warehouse,
    served: Served,
}

impl Deref for Api {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.served
    }
}

impl Api {
    pub async fn over(warehouse: Warehouse) -> Self {
        Self::keeping_pages(warehouse, Duration::from_secs(3_600))
    }

    /// Lets in whom this guard does.
    pub fn guarded(warehouse: Warehouse, guard: Guard) -> Self {
        let nudge = warehouse.reactions.nudge.clone();
        let routes = routes(AppState::new(warehouse.db.pool.clone(), nudge, Duration::from_secs(3_600))).unwrap();
        let served = Served::guarded("/api/v1", guard, Limits::default(), CancellationToken::new(), routes);
        Self { warehouse, served }
    }

    /// It keeps pages of the catalogue for so long.
    pub fn keeping_pages(warehouse: Warehouse, kept: Duration) -> Self {
        let state = AppState::new(warehouse.db.pool.clone(), warehouse.reactions.nudge.clone(), kept);
        Self { warehouse, served: Served::start("/api/v1", routes(state).unwrap()) }
    }

    /// Where the order's first shipment is.
    pub async fn shipment_of(&self, order: OrderId) -> String {
        format!("/shipments/{}", self.warehouse.shipment_of(order).await)
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        let request = self.request(method, path);
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
        answer(self.request(Method::POST, path).header("Idempotency-Key", key).json(body)).await
    }

    /// Expects a problem of this status and, for bad input, the field that it names.
    pub async fn refuses(&self, method: Method, path: &str, body: &str, status: u16, field: Option<&str>) {
        let answer = self.request(method.clone(), path).body(body.to_owned());
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
