//! Where things are on the drawing, and how large.

use chrono::TimeDelta;
use shared_events::Topic;

use super::words::service_of;
use crate::store::events::Event;

pub(super) const SERVICES: [&str; 4] = ["order-svc", "stock-svc", "payment-svc", "notification-svc"];
pub(super) const ELSEWHERE: &str = "elsewhere";

pub(super) const GUTTER: i64 = 96;
pub(super) const LANE: i64 = 176;
pub(super) const TOPIC: i64 = 92;
pub(super) const HEAD: i64 = 54;
pub(super) const ROW: i64 = 42;
pub(super) const BOX: (i64, i64) = (164, 28);
/// Bars of a topic that overlap in time stand beside each other, in so many columns.
pub(super) const SLOTS: usize = 7;
pub(super) const SLOT: i64 = 11;
/// Shorter gaps than this take no more room than a row has.
pub(super) const GAP: TimeDelta = TimeDelta::seconds(1);

/// A row for each event, with more room where more time has passed.
pub(super) fn rows(events: &[Event]) -> Vec<i64> {
    let mut y = HEAD + 8;
    let mut rows = Vec::with_capacity(events.len());
    for (index, event) in events.iter().enumerate() {
        if let Some(before) = index.checked_sub(1) {
            let gap = event.time - events[before].time;
            y += ROW + if gap >= GAP { 14 + 4 * digits(gap.num_seconds()) } else { 0 };
        }
        rows.push(y);
    }
    rows
}

pub(super) fn digits(number: i64) -> i64 {
    number.max(1).checked_ilog10().map_or(0, |digits| i64::from(digits) + 1)
}

pub(super) fn left_of(lane: usize) -> i64 {
    GUTTER + (LANE + TOPIC) * i64::try_from(lane).unwrap_or(0)
}

/// The side of a box in this lane that looks at `x`.
pub(super) fn edge_towards(lane: usize, x: i64) -> i64 {
    let left = left_of(lane) + (LANE - BOX.0) / 2;
    if x < left { left } else { left + BOX.0 }
}

pub(super) fn lane_of_source(source: &str) -> usize {
    SERVICES.iter().position(|service| *service == service_of(source)).unwrap_or(SERVICES.len())
}

pub(super) fn lane_of_topic(topic: &str) -> usize {
    let owner = Topic::from_name(topic).map_or(ELSEWHERE, Topic::owner);
    SERVICES.iter().position(|service| *service == owner).unwrap_or(SERVICES.len())
}

pub(super) fn topics_of(service: &str) -> Vec<&'static str> {
    let topics = Topic::ALL.iter().filter(|topic| topic.owner() == service && !topic.compacted());
    topics.map(|topic| topic.name()).collect()
}
