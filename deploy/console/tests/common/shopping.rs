//! A shop that sells tea, and whoever buys there.

use reqwest::Response;
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, ResponseTemplate};

use super::{Console, between, issuer, led_to};

pub const ORDER: &str = "01980a10-7c00-7000-8000-0000000000a1";
pub const TOKEN: &str = "guest.01980a107c0070008000000000000a1.c0ffee";
pub const EVIL: &str = r#"<script>alert("x")</script>"#;

/// A shop that sells tea, to guests.
pub async fn shop() -> Console {
    sells_tea(Console::with_issuer(Some(issuer())).await).await
}

pub async fn sells_tea(console: Console) -> Console {
    let tea = product("TEA", "Earl Grey", 3);
    console.answers("GET", "/api/v1/products", 200, json!({"items": [tea.clone()], "next_cursor": "TEA"})).await;
    console.answers("GET", "/api/v1/products/TEA", 200, tea).await;
    console.answers("GET", "/api/v1/categories", 200, json!({"items": [], "next_cursor": null})).await;
    console
}

pub fn product(sku: &str, name: &str, available: i64) -> Value {
    json!({
        "sku": sku, "name": name, "brand": null, "description": "Black tea", "category": null, "category_name": null,
        "price": {"amount": 1299, "currency": "EUR"}, "low_stock_mark": 10, "status": "active",
        "on_hand": 3, "held": 0, "available": available
    })
}

pub fn order(changes: Value) -> Value {
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

pub fn order_path() -> String {
    format!("/api/v1/orders/{ORDER}")
}

/// The order is shown to whoever has the guest's token, and to nobody else.
pub async fn shows_the_order(console: &Console, changes: Value) {
    let answer = ResponseTemplate::new(200).set_body_json(order(changes));
    let asked = Mock::given(method("GET")).and(path(order_path()));
    let bearer = format!("Bearer {TOKEN}");
    asked.and(header("authorization", bearer.as_str())).respond_with(answer).mount(&console.services).await;
    console.answers("GET", &order_path(), 401, json!({"detail": "No token.", "code": "unauthorized"})).await;
}

pub const ADDRESS: [(&str, &str); 5] =
    [("line1", "1 Quay St"), ("line2", ""), ("city", "Cork"), ("postal_code", "T12"), ("country", "IE")];

/// Puts two packets of tea into the basket, and returns the fields that the checkout's form was made with.
pub async fn to_the_checkout(console: &Console) -> Vec<(String, String)> {
    let answer = console.send("/", "/basket", &[("do", "add"), ("sku", "TEA"), ("quantity", "2")]).await;
    assert_eq!((answer.status().as_u16(), led_to(&answer)), (303, "/basket"));
    let (status, page) = console.page("/checkout").await;
    assert_eq!(status, 200, "{page}");
    let form = between(&page, r#"<form method="post" action="/checkout""#, "</form>");
    let field = |name: &str| (name.to_owned(), between(form, &format!(r#"name="{name}" value=""#), "\"").to_owned());
    ["key", "lines", "amount", "currency"].map(field).to_vec()
}

pub async fn order_as(console: &Console, made_with: &[(String, String)], name: &str) -> Response {
    let typed = [("name", name), ("email", "ann@example.com"), ("payment_method", "pm_card_visa")];
    let made_with = made_with.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let proof = console.proof().await;
    let fields: Vec<_> = made_with.chain(typed).chain(ADDRESS).chain([("proof", proof.as_str())]).collect();
    console.browser.post(&format!("{}/checkout", console.served.root), &fields).await
}

/// What order-svc was sent, with the keys.
pub async fn placed(console: &Console) -> Vec<(Value, String)> {
    let asked = console.services.received_requests().await.unwrap();
    let placed =
        asked.iter().filter(|request| request.method.as_str() == "POST" && request.url.path() == "/api/v1/orders");
    placed
        .map(|request| {
            let key = request.headers.get("idempotency-key").unwrap().to_str().unwrap().to_owned();
            (serde_json::from_slice(&request.body).unwrap(), key)
        })
        .collect()
}
