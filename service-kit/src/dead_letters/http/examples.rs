//! A dead letter at several moments, as consistent examples for the OpenAPI document.

use serde_json::{Value, json};

const ORDER: &str = "01980a10-7c00-7000-8000-0000000000a1";
const EVENT: &str = "01980a10-7c00-7000-8000-0000000000e1";
const CAUSE: &str = "the value is not a order.placed.v1: missing field `currency` at line <n> column <n>";

/// An order whose event lacks a field.
pub(in crate::dead_letters) fn letter() -> Value {
    json!({
        "id": 7, "consumer": "stock-svc", "topic": "orders.v1", "partition": 3, "offset": 4711, "key": ORDER,
        "event_id": EVENT, "event_type": "order.placed.v1",
        "error": "the value is not a order.placed.v1: missing field `currency` at line 1 column 312",
        "attempts": 1, "buried_at": "2026-07-14T09:30:02Z", "replay_requested_at": null,
        "cause": CAUSE, "group": "5f0c6d3a9b1e2f48", "replays": 0, "edits": 0
    })
}

/// The event that waits behind it.
fn next() -> Value {
    let mut next = letter();
    let waits = json!({
        "id": 12, "offset": 4730, "event_id": "01980a10-7c00-7000-8000-0000000000e2", "event_type": "order.cancel_requested.v1",
        "error": null, "attempts": 0, "buried_at": "2026-07-14T09:31:40Z", "cause": null, "group": null
    });
    with(&mut next, waits)
}

pub(in crate::dead_letters) fn whole() -> Value {
    let content = json!({
        "headers": [{"name": "ce_id", "value": EVENT}, {"name": "ce_type", "value": "order.placed.v1"}],
        "payload": {"format": "json", "value": {"order_id": ORDER, "lines": []}},
        "ahead": 0, "behind": {"count": 1, "first": [next()]}
    });
    with(&mut letter(), content)
}

/// The letter after it was edited and replayed.
pub(in crate::dead_letters) fn ended() -> Value {
    json!({
        "id": 7, "consumer": "stock-svc", "topic": "orders.v1", "partition": 3, "offset": 4711, "key": ORDER,
        "event_id": EVENT, "event_type": "order.placed.v1",
        "error": "the value is not a order.placed.v1: missing field `currency` at line 1 column 312",
        "edits": 1, "how": "replayed", "outcome": "applied", "ended_by": "olga",
        "reason": "the producer left the currency out", "ended_at": "2026-07-14T10:02:11Z"
    })
}

pub(in crate::dead_letters) fn version() -> Value {
    json!({
        "version": 1, "made_at": "2026-07-14T10:01:00Z", "made_by": "olga", "reason": "the producer left the currency out",
        "headers": [{"name": "ce_id", "value": EVENT}, {"name": "ce_type", "value": "order.placed.v1"}],
        "payload": {"format": "json", "value": {"order_id": ORDER, "currency": "EUR", "lines": []}}
    })
}

/// A job that has stopped at a letter.
pub(in crate::dead_letters) fn job() -> Value {
    json!({
        "id": "01980a10-7c00-7000-8000-0000000000b1", "consumer": "stock-svc", "action": "replay",
        "group": "5f0c6d3a9b1e2f48", "key": null, "ids": null, "reason": "version 1.4 knows the currency",
        "keep_going": false, "state": "stopped", "made_by": "olga", "made_at": "2026-07-14T10:10:00Z",
        "started_at": "2026-07-14T10:10:00Z", "finished_at": null,
        "total": 200, "done": 41, "failed": 1, "left_out": 0, "left": 158, "behind": 3, "left_behind": 0, "failed_behind": 0, "failed_letter": 48,
        "error": "the value is not a order.placed.v1: missing field `lines` at line 1 column 96",
        "failing": null, "failing_since": null
    })
}

/// What comes of it with the field that it lacks.
pub(in crate::dead_letters) fn dry_run() -> Value {
    json!({
        "outcome": "applied", "why": null, "may_pass": false, "ahead": 0,
        "rows": [
            {"table": "orders", "inserted": 1, "updated": 0, "deleted": 0, "all_shown": true,
                "changes": [{"before": null, "after": {"order_id": ORDER, "state": "held"}}]},
            {"table": "outbox", "inserted": 1, "updated": 0, "deleted": 0, "all_shown": false, "changes": []}
        ],
        "events": [{
            "event_type": "stock.reserved.v1", "topic": "stock.v1", "key": ORDER,
            "headers": [{"name": "ce_type", "value": "stock.reserved.v1"}, {"name": "ce_causationid", "value": EVENT}],
            "payload": {"format": "json", "value": {"order_id": ORDER}}
        }]
    })
}

fn with(value: &mut Value, fields: Value) -> Value {
    if let (Some(value), Value::Object(fields)) = (value.as_object_mut(), fields) {
        value.extend(fields);
    }
    value.take()
}

pub(in crate::dead_letters) fn group() -> Value {
    json!({
        "group": "5f0c6d3a9b1e2f48", "consumer": "stock-svc", "event_type": "order.placed.v1", "cause": CAUSE,
        "letters": 200, "keys": 200, "first_at": "2026-07-14T09:30:02Z", "last_at": "2026-07-14T09:41:37Z", "example": 7
    })
}
