use serde_json::{Value, json};

pub(super) fn listed() -> Value {
    json!({
        "id": "01980a10-7c00-7000-8000-0000000000e1", "order_id": "01980a10-7c00-7000-8000-0000000000a1",
        "template": "order_confirmed", "channel": "email", "to": "ann@example.com", "status": "sent",
        "created_at": "2026-07-14T09:30:02Z", "sent_at": "2026-07-14T09:30:03Z"
    })
}

pub(super) fn whole() -> Value {
    let order = "01980a10-7c00-7000-8000-0000000000a1";
    let mut whole = listed();
    whole["subject"] = format!("Your order {order} is confirmed").into();
    whole["text"] = format!("Hello Ann Lee,\n\nyour order is confirmed.\n\nOrder {order}\n").into();
    whole["html"] = format!("<p>Hello Ann Lee,</p>\n<p>your order is confirmed.</p>\n<p>Order {order}</p>\n").into();
    whole["attempts"] = 1.into();
    whole["last_error"] = Value::Null;
    whole
}
