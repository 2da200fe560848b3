//! An order for tests: order-svc's own example, with changes.

use serde_json::{Value, json};

use super::view::{Order, Payment, Times};

pub fn order(changes: Value) -> Order {
    let mut order = json!({
        "id": "01980a10-7c00-7000-8000-0000000000a1", "number": "Q-2026-000123", "status": "pending", "reason": null,
        "failure": null, "customer": {"id": "c-1001", "name": "Ann Lee", "email": "ann@example.com"},
        "delivery_address":
            {"line1": "1 Quay St", "line2": null, "city": "Cork", "postal_code": "T12", "country": "IE"},
        "requested_address": null, "currency": "EUR",
        "lines": [{
            "sku": "TEA-EARL-GREY-250", "name": "Earl Grey, 250 g", "quantity": 2,
            "unit_price": {"amount": 1299, "currency": "EUR"}, "line_total": {"amount": 2598, "currency": "EUR"},
            "called_off": 0
        }],
        "total": {"amount": 2598, "currency": "EUR"},
        "stock": null, "payment": null, "shipment": null, "shipments": [],
        "waiting_for": {"fact": "stock.reserved", "from": "stock-svc", "since": "2026-07-14T09:30:00Z"},
        "version": 1, "placed_at": "2026-07-14T09:30:00Z", "updated_at": "2026-07-14T09:30:00Z",
        "forgotten_at": null, "links": {"self": "/api/v1/orders/x", "cancel": "/api/v1/orders/x/cancel"}
    });
    if let (Value::Object(order), Value::Object(changes)) = (&mut order, changes) {
        order.extend(changes);
    }
    serde_json::from_value(order).unwrap()
}

pub fn payment(captured: i64, refunded: i64) -> Payment {
    let money = |amount: i64| json!({"amount": amount, "currency": "EUR"});
    let payment = json!({"captured": money(captured), "refunded": money(refunded)});
    serde_json::from_value(payment).unwrap()
}

/// These happened, a minute apart.
pub fn times(happened: &[&str]) -> Times {
    let items = happened.iter().enumerate().map(|(minute, kind)| {
        json!({"type": format!("{kind}.v1"), "time": format!("2026-07-14T10:{minute:02}:00Z"), "ignored": null})
    });
    Times::of(&json!({"items": items.collect::<Vec<_>>()}))
}
