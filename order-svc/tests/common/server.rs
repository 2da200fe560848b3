//! order-svc's HTTP interface, on its own.

use std::ops::Deref;
use std::time::Duration;

use actix_web::web::Data;
use order_svc::http::{AppState, routes};
use order_svc::live::{Live, Tail};
use order_svc::prices::PricesKnown;
use outbox_relay::Nudge;
use quadrille_testing::Served;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use service_kit::auth::{Guard, GuestLinks};
use shared_events::OrderId;
use tokio_util::sync::CancellationToken;

use super::Shop;

/// How long a stream may be silent in tests.
const KEEP_ALIVE: Duration = Duration::from_millis(500);

/// order-svc's routes on a port of their own.
pub struct Server {
    pub shop: Shop,
    served: Served,
    pub prices_known: PricesKnown,
    pub live: Live,
}

impl Deref for Server {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.served
    }
}

impl Server {
    pub async fn new() -> Self {
        let server = Self::before_prices_are_known().await;
        server.prices_known.set();
        server
    }

    pub async fn with_an_order() -> (Self, OrderId) {
        let server = Self::new().await;
        let id = server.shop.place().await;
        (server, id)
    }

    /// Lets in whom this guard does; guests' orders are signed by `guests`, if there are any.
    pub async fn guarded(guard: Guard, guests: Option<GuestLinks>) -> Self {
        let shop = Shop::new().await;
        let guard = guard.recording(shop.db.pool.clone());
        let guard = guests.clone().map_or(guard.clone(), |guests| guard.with_guests(guests));
        let server = Self::over(shop, guard, guests).await;
        server.prices_known.set();
        server
    }

    pub async fn before_prices_are_known() -> Self {
        Self::over(Shop::new().await, Guard::for_everybody(), None).await
    }

    async fn over(shop: Shop, guard: Guard, guests: Option<GuestLinks>) -> Self {
        let prices_known = PricesKnown::default();
        let stop = CancellationToken::new();
        let live = Live::new(stop.clone()).keep_alive(KEEP_ALIVE);
        let state = Data::new(AppState {
            pool: shop.db.pool.clone(),
            deadline: Duration::from_secs(20 * 60),
            prices_known: prices_known.clone(),
            nudge: Nudge::default(),
            live: live.clone(),
            guests,
        });
        let tail = Tail::new(shop.db.pool.clone(), live.clone()).await.unwrap();
        tokio::spawn(tail.run(stop.clone()));
        let (limits, routes) = (order_svc::http::limits(), routes(state).unwrap());
        let served = Served::guarded("/api/v1/orders", guard, limits, stop, routes);
        Self { shop, served, prices_known, live }
    }

    pub async fn post(&self, body: &Value) -> Response {
        self.client.post(&self.url).json(body).send().await.unwrap()
    }

    pub async fn post_once(&self, key: &str, body: &Value) -> Response {
        self.client.post(&self.url).header("Idempotency-Key", key).json(body).send().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    pub async fn cancel(&self, id: &str) -> Response {
        self.client.post(format!("{}/{id}/cancel", self.url)).send().await.unwrap()
    }

    pub async fn placed(&self) -> Value {
        let answer = self.post(&order()).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        answer.json().await.unwrap()
    }

    /// The one field that a 422 blames. Nothing may have been written.
    pub async fn blames(&self, body: &Value) -> String {
        let answer = self.post(body).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["status"], 422);
        assert_eq!(self.shop.db.count("orders").await, 0);
        assert_eq!(self.shop.db.count("outbox").await, 0);
        problem["errors"][0]["field"].as_str().unwrap().to_owned()
    }
}

pub fn order() -> Value {
    json!({
        "customer": {"id": "c-1001", "name": "Ann Lee", "email": "ann@example.com"},
        "delivery_address": {
            "line1": "1 Quay St", "line2": null, "city": "Cork", "postal_code": "T12", "country": "IE"
        },
        "currency": "EUR",
        "lines": [{"sku": "TEA", "quantity": 2}, {"sku": "MUG", "quantity": 1}],
        "payment_method": "pm_card_visa"
    })
}

/// The order with the value at `pointer` replaced, or added.
pub fn order_with(pointer: &str, value: Value) -> Value {
    let mut order = order();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = order.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[field.parse::<usize>().unwrap()] = value,
        parent => parent[field] = value,
    }
    order
}
