//! One order's stock at several moments, as consistent examples for the OpenAPI document.

use serde_json::{Value, json};

const CATEGORY: &str = "01980a10-7c00-7000-8000-000000000011";
const ORDER: &str = "01980a10-7c00-7000-8000-0000000000a1";

pub(super) fn category() -> Value {
    json!({"id": CATEGORY, "name": "Black tea", "description": "Loose leaf, packed in Cork."})
}

/// A product with two tins held for an order.
pub(super) fn product() -> Value {
    json!({
        "sku": "TEA-EARL-GREY-250", "name": "Earl Grey, 250 g", "brand": "Quay Street",
        "description": "Black tea with oil of bergamot.", "category": CATEGORY, "category_name": "Black tea",
        "price": {"amount": 1299, "currency": "EUR"}, "low_stock_mark": 10, "status": "active",
        "on_hand": 45, "held": 2, "available": 43,
        "created_at": "2026-07-01T08:00:00Z", "updated_at": "2026-07-01T08:00:00Z"
    })
}

pub(super) fn listed() -> Value {
    json!({
        "sku": "TEA-SENCHA-100", "name": "Sencha, 100 g", "brand": "Quay Street", "description": "Steamed green tea.",
        "category": null, "category_name": null, "price": {"amount": 1099, "currency": "EUR"}, "low_stock_mark": 10,
        "status": "active", "on_hand": 40, "held": 0, "available": 40,
        "created_at": "2026-07-14T09:00:00Z", "updated_at": "2026-07-14T09:00:00Z"
    })
}

/// The movement by which the tins leave for the order.
pub(super) fn movement() -> Value {
    json!({"id": 7, "kind": "committed", "quantity": -2, "order_id": ORDER, "reason": null, "at": "2026-07-14T09:30:02Z"})
}

pub(super) fn reservation() -> Value {
    json!({
        "order_id": ORDER, "status": "held", "reason": null, "expires_at": "2026-07-14T09:45:01Z",
        "lines": [{"sku": "TEA-EARL-GREY-250", "quantity": 2}], "updated_at": "2026-07-14T09:30:01Z"
    })
}

pub(super) fn dispatched() -> Value {
    parcel(
        "d1",
        2,
        json!({
            "status": "dispatched", "carrier": "An Post", "tracking_number": "AP123456789IE",
            "packed_at": "2026-07-14T15:00:00Z", "dispatched_at": "2026-07-15T08:10:00Z"
        }),
    )
}

pub(super) fn packed() -> Value {
    parcel("d1", 2, json!({"status": "packed", "packed_at": "2026-07-14T15:00:00Z"}))
}

pub(super) fn delivered() -> Value {
    after(json!({"status": "delivered", "delivered_at": "2026-07-16T11:20:00Z"}))
}

/// Its parcel, after one of its tins came back.
pub(super) fn returned() -> Value {
    after(json!({
        "status": "delivered", "delivered_at": "2026-07-16T11:20:00Z",
        "returned": [{"sku": "TEA-EARL-GREY-250", "quantity": 1}], "returned_at": "2026-07-20T10:00:00Z"
    }))
}

pub(super) fn lost() -> Value {
    after(json!({"status": "lost", "lost_at": "2026-07-29T09:00:00Z"}))
}

/// A part of it, called off after the other had left.
pub(super) fn called_off() -> Value {
    parcel("d3", 1, json!({"status": "cancelled", "delivery_address": null, "cancelled_at": "2026-07-15T08:20:00Z"}))
}

pub(super) fn parts() -> Value {
    let at = json!({"created_at": "2026-07-14T16:00:00Z"});
    json!({"items": [parcel("d2", 1, at.clone()), parcel("d3", 1, at)], "next_cursor": null})
}

fn parcel(id: &str, tins: u8, changes: Value) -> Value {
    let parcel = json!({
        "id": format!("01980a10-7c00-7000-8000-0000000000{id}"), "order_id": ORDER, "status": "pending",
        "lines": [{"sku": "TEA-EARL-GREY-250", "quantity": tins}],
        "delivery_address":
            {"line1": "1 Quay St", "line2": null, "city": "Cork", "postal_code": "T12", "country": "IE"},
        "carrier": null, "tracking_number": null, "created_at": "2026-07-14T09:30:03Z", "packed_at": null,
        "dispatched_at": null, "delivered_at": null, "cancelled_at": null, "split_into": [], "returned": [],
        "returned_at": null, "lost_at": null
    });
    with(parcel, changes)
}

fn after(changes: Value) -> Value {
    with(dispatched(), changes)
}

fn with(mut whole: Value, changes: Value) -> Value {
    if let (Value::Object(whole), Value::Object(changes)) = (&mut whole, changes) {
        whole.extend(changes);
    }
    whole
}
