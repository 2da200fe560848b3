//! One order at several moments, and its customer, as consistent examples for the OpenAPI document.

use serde_json::{Value, json};

const ORDER: &str = "01980a10-7c00-7000-8000-0000000000a1";

pub fn placed() -> Value {
    let this = super::view::path_of(ORDER);
    json!({
        "id": ORDER, "status": "pending", "reason": null, "failure": null,
        "customer": {"id": "c-1001", "name": "Ann Lee", "email": "ann@example.com"},
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
        "forgotten_at": null,
        "links": {
            "self": this, "history": format!("{this}/history"), "events": format!("{this}/events"),
            "delivery_address": format!("{this}/delivery-address"), "cancel": format!("{this}/cancel")
        }
    })
}

pub fn profile() -> Value {
    json!({
        "id": "c-1001", "name": "Ann Lee", "email": "ann@example.com", "phone": "+353861234567", "push_token": null,
        "delivery_address":
            {"line1": "1 Quay St", "line2": null, "city": "Cork", "postal_code": "T12", "country": "IE"},
        "language": "en", "messages": {"order": ["email"], "payment": ["email"], "shipment": ["email", "sms"]},
        "version": 1, "updated_at": "2026-07-14T09:29:00Z"
    })
}

pub fn redirected() -> Value {
    with(json!({
        "delivery_address":
            {"line1": "2 Mill Rd", "line2": "Flat 3", "city": "Galway", "postal_code": "H91", "country": "IE"},
        "version": 2, "updated_at": "2026-07-14T09:31:00Z"
    }))
}

/// Confirmed, and waiting for a change of address.
pub fn to_be_redirected() -> Value {
    with(json!({
        "status": "confirmed", "stock": "committed", "payment": "captured",
        "requested_address":
            {"line1": "2 Mill Rd", "line2": "Flat 3", "city": "Galway", "postal_code": "H91", "country": "IE"},
        "waiting_for": {"fact": "shipment.created", "from": "stock-svc", "since": "2026-07-14T09:30:02Z"},
        "version": 6, "updated_at": "2026-07-14T09:31:00Z"
    }))
}

pub fn cancelling() -> Value {
    with(json!({
        "status": "cancelling", "reason": "customer", "stock": "reserved",
        "waiting_for": {"fact": "stock.released", "from": "stock-svc", "since": "2026-07-14T09:31:00Z"},
        "version": 3, "updated_at": "2026-07-14T09:31:00Z", "links": links(&["cancel"])
    }))
}

/// One of its two tins has left, and the other was just called off.
pub fn partially_shipped() -> Value {
    let parcel = |number: u8, status: &str, carrier: Value, tracking: Value| {
        let id = format!("01980a10-7c00-7000-8000-0000000000d{number}");
        json!({"id": id, "status": status, "carrier": carrier, "tracking_number": tracking})
    };
    with(json!({
        "status": "partially_shipped", "stock": "committed", "payment": "captured", "shipment": "dispatched",
        "shipments": [
            parcel(1, "cancelled", Value::Null, Value::Null),
            parcel(2, "dispatched", json!("An Post"), json!("AP123456789IE")),
            parcel(3, "created", Value::Null, Value::Null)
        ],
        "waiting_for": {"fact": "shipment.dispatched", "from": "stock-svc", "since": "2026-07-14T09:30:03Z"},
        "version": 11, "updated_at": "2026-07-15T08:20:00Z", "links": links(&["call_off"])
    }))
}

pub fn overdue() -> Value {
    json!({
        "waiting_for": "stock.reserved", "waiting_from": "stock-svc", "orders": 1, "oldest_since": "2026-07-14T09:30:00Z",
        "first": [ORDER]
    })
}

/// An order of the customer is still on its way.
pub fn forgotten() -> Value {
    json!({
        "customer_id": "c-1001", "profile": true, "orders": 12,
        "left": {
            "ended_orders": 0, "orders_going_on": 1, "oldest": [{"id": ORDER, "status": "shipped"}]
        }
    })
}

pub fn entry() -> Value {
    json!({
        "position": 2, "event_id": "01980a10-7c00-7000-8000-0000000000f1", "type": "stock.reserved.v1",
        "source": "/stock-svc", "time": "2026-07-14T09:30:01Z", "because_of": null, "status_before": "pending",
        "status": "pending", "reason": null, "ignored": null, "recorded_at": "2026-07-14T09:30:01Z"
    })
}

fn links(follow: &[&str]) -> Value {
    let this = super::view::path_of(ORDER);
    let mut links = json!({"self": this, "history": format!("{this}/history"), "events": format!("{this}/events")});
    for name in follow {
        links[*name] = format!("{this}/{}", name.replace('_', "-")).into();
    }
    links
}

fn with(changes: Value) -> Value {
    let mut order = placed();
    if let (Value::Object(order), Value::Object(changes)) = (&mut order, changes) {
        order.extend(changes);
    }
    order
}
