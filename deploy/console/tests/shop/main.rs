//! The shop window, as a browser without JavaScript sees it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod account;
mod buying;
#[path = "../common/mod.rs"]
mod common;
mod live;
mod order_page;

use common::{Console, between, issuer, led_to};
use reqwest::Response;
use serde_json::{Value, json};
use wiremock::matchers::{body_json, header, method, path};
use wiremock::{Mock, ResponseTemplate};

const ORDER: &str = "01980a10-7c00-7000-8000-0000000000a1";
const TOKEN: &str = "guest.01980a107c0070008000000000000a1.c0ffee";
const EVIL: &str = r#"<script>alert("x")</script>"#;

/// A shop that sells tea, to guests.
async fn shop() -> Console {
    sells_tea(Console::with_issuer(Some(issuer())).await).await
}

async fn sells_tea(console: Console) -> Console {
    let tea = product("TEA", "Earl Grey", 3);
    console.answers("GET", "/api/v1/products", 200, json!({"items": [tea.clone()], "next_cursor": "TEA"})).await;
    console.answers("GET", "/api/v1/products/TEA", 200, tea).await;
    console.answers("GET", "/api/v1/categories", 200, json!({"items": [], "next_cursor": null})).await;
    console
}

fn product(sku: &str, name: &str, available: i64) -> Value {
    json!({
        "sku": sku, "name": name, "brand": null, "description": "Black tea", "category": null, "category_name": null,
        "price": {"amount": 1299, "currency": "EUR"}, "low_stock_mark": 10, "status": "active",
        "on_hand": 3, "held": 0, "available": available
    })
}

fn order(changes: Value) -> Value {
    let mut order = json!({
        "id": ORDER, "status": "pending", "reason": null, "failure": null,
        "customer": {"id": "guest-1", "name": "Ann Lee", "email": "ann@example.com"},
        "delivery_address": {"line1": "1 Quay St", "city": "Cork", "postal_code": "T12", "country": "IE"},
        "requested_address": null, "currency": "EUR",
        "lines": [{"sku": "TEA", "name": "Earl Grey", "quantity": 2, "unit_price": {"amount": 1299, "currency": "EUR"},
            "line_total": {"amount": 2598, "currency": "EUR"}, "called_off": 0}],
        "total": {"amount": 2598, "currency": "EUR"}, "stock": null, "payment": null, "shipments": [],
        "waiting_for": null, "version": 1, "placed_at": "2026-07-14T09:30:00Z",
        "links": {"cancel": format!("/api/v1/orders/{ORDER}/cancel"), "guest": format!("/api/v1/orders/{ORDER}?token={TOKEN}")}
    });
    order.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    order
}

fn order_path() -> String {
    format!("/api/v1/orders/{ORDER}")
}

/// The order is shown to whoever has the guest's token, and to nobody else.
async fn shows_the_order(console: &Console, changes: Value) {
    let answer = ResponseTemplate::new(200).set_body_json(order(changes));
    let asked = Mock::given(method("GET")).and(path(order_path()));
    let bearer = format!("Bearer {TOKEN}");
    asked.and(header("authorization", bearer.as_str())).respond_with(answer).mount(&console.services).await;
    console.answers("GET", &order_path(), 401, json!({"detail": "No token.", "code": "unauthorized"})).await;
}
