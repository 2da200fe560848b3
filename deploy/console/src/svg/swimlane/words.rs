//! What stands on and behind the drawing.

use chrono::TimeDelta;

use super::super::shortened;
use crate::pages::span;
use crate::store::events::Event;

/// Headers that a box tells in words.
const SHOWN: [&str; 7] =
    ["ce_specversion", "ce_source", "ce_type", "ce_time", "ce_sequence", "ce_dataschema", "content-type"];

/// A span of time as exactly as it matters.
pub fn took(time: TimeDelta) -> String {
    let micros = time.num_microseconds().unwrap_or(i64::MAX);
    let (sign, size) = (if micros < 0 { "−" } else { "" }, micros.unsigned_abs());
    match size {
        0..1_000_000 => format!("{sign}{}.{} ms", size / 1_000, size % 1_000 / 100),
        1_000_000..60_000_000 => format!("{sign}{}.{:02} s", size / 1_000_000, size % 1_000_000 / 10_000),
        _ => format!("{sign}{}", span(time.num_seconds().abs())),
    }
}

/// Whether an event is good news, bad news, or something to be watched; the class of its box and of its tag.
pub fn kind(event_type: &str) -> &'static str {
    let said = event_type.split('.').nth(1).unwrap_or_default();
    match said {
        "confirmed" | "completed" | "authorized" | "captured" | "committed" | "delivered" | "sent" => "good",
        "cancelled" | "declined" | "capture_failed" | "rejected" | "expired" | "lost" | "failed" | "refund_failed" => {
            "bad"
        }
        "cancel_requested" | "action_required" | "unknown" | "released" | "restocked" | "voided" | "refunded"
        | "returned" | "suppressed" | "call_off_requested" => "warn",
        _ => "",
    }
}

/// A type without its version.
pub(super) fn name(event_type: &str) -> &str {
    event_type.rsplit_once(".v").map_or(event_type, |(name, _)| name)
}

/// The beginning of an event's headers and body, for whoever points at it.
pub(super) fn content(event: &Event) -> String {
    let headers = event.headers.iter().filter(|(name, _)| !SHOWN.contains(&name.as_str())).take(8);
    let headers = headers.map(|(name, value)| format!("{}: {}\n", shortened(name, 40), shortened(value, 80)));
    headers.chain(event.body.as_deref().map(|body| shortened(body, 400))).collect()
}

pub(super) fn service_of(source: &str) -> &str {
    source.strip_prefix('/').unwrap_or(source)
}
