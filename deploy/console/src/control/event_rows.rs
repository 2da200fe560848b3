//! Events as rows of a table.

use std::collections::HashMap;

use serde::Serialize;
use uuid::Uuid;

use super::pretty;
use crate::store::events::Event;
use crate::svg::swimlane::{kind, took};

/// A longer body is cut.
const BODY: usize = 8_000;
const HEADERS: usize = 60;

#[derive(Debug, Serialize)]
pub struct EventRow {
    id: Uuid,
    topic: String,
    partition: i32,
    offset: i64,
    key: String,
    order_id: Option<Uuid>,
    #[serde(rename = "type")]
    event_type: String,
    kind: &'static str,
    source: String,
    sequence: Option<i64>,
    day: String,
    time: String,
    /// How long it waited in the outbox.
    outbox: Option<String>,
    /// How long after Kafka took it the console heard it.
    heard: Option<String>,
    /// The event that caused it, and its type if that is known here.
    cause: Option<Uuid>,
    cause_type: Option<String>,
    headers: Vec<(String, String)>,
    /// None once its person is forgotten.
    body: Option<String>,
    is_cut: bool,
}

impl EventRow {
    /// The rows of these events, which may have caused each other.
    pub fn all(events: Vec<Event>) -> Vec<Self> {
        let types: HashMap<_, _> = events.iter().map(|event| (event.id, event.event_type.clone())).collect();
        events.into_iter().map(|event| Self::new(event, &types)).collect()
    }

    fn new(event: Event, types: &HashMap<Uuid, String>) -> Self {
        let (body, is_cut) = event.body.as_deref().map(|body| pretty(body, BODY)).unzip();
        let headers = event.headers.into_iter().take(HEADERS);
        Self {
            id: event.id,
            kind: kind(&event.event_type),
            day: event.time.format("%-d %b %Y").to_string(),
            time: event.time.format("%H:%M:%S%.3f").to_string(),
            outbox: event.sent_at.map(|sent| took(sent - event.time)),
            heard: event.sent_at.map(|sent| took(event.heard_at - sent)),
            cause: event.causation_id,
            cause_type: event.causation_id.and_then(|cause| types.get(&cause).cloned()),
            headers: headers.map(|(name, value)| (name, value.chars().take(2_000).collect())).collect(),
            body,
            is_cut: is_cut.unwrap_or_default(),
            topic: event.topic,
            partition: event.partition,
            offset: event.record_offset,
            key: event.key,
            order_id: event.order_id,
            event_type: event.event_type,
            source: event.source,
            sequence: event.sequence,
        }
    }
}

/// The traces of these events, each with how many of them it has; the first few.
pub fn traces(events: &[Event]) -> Vec<(String, usize)> {
    let mut traces = Vec::<(String, usize)>::new();
    for event in events {
        let header = event.headers.iter().find(|(name, _)| name == "ce_traceparent");
        let Some(trace) = header.and_then(|(_, context)| context.split('-').nth(1)) else { continue };
        if trace.len() != 32 || !trace.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            continue;
        }
        match traces.iter().position(|(known, _)| known == trace) {
            Some(place) => traces[place].1 += 1,
            None if traces.len() < 10 => traces.push((trace.to_owned(), 1)),
            None => {}
        }
    }
    traces
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn event(id: u128, cause: Option<u128>, traceparent: &str) -> Event {
        let time = DateTime::from_timestamp_millis(1_700_000_000_000).unwrap();
        Event {
            id: Uuid::from_u128(id),
            topic: "orders.v1".to_owned(),
            partition: 0,
            record_offset: 1,
            key: "k".to_owned(),
            event_type: format!("order.e{id}.v1"),
            source: "/order-svc".to_owned(),
            order_id: None,
            sequence: None,
            causation_id: cause.map(Uuid::from_u128),
            time,
            sent_at: Some(time),
            heard_at: time,
            headers: vec![("ce_traceparent".to_owned(), traceparent.to_owned())],
            body: Some("{}".to_owned()),
            money: None,
        }
    }

    #[test]
    fn a_row_names_the_type_of_its_cause_where_that_is_known() {
        let rows = EventRow::all(vec![event(1, None, ""), event(2, Some(1), ""), event(3, Some(99), "")]);
        let causes: Vec<_> = rows.iter().map(|row| row.cause_type.as_deref()).collect();
        assert_eq!(causes, [None, Some("order.e1.v1"), None]);
        assert_eq!(rows[2].cause, Some(Uuid::from_u128(99)));
    }

    #[test]
    fn traces_are_counted_and_what_is_none_is_left_out() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let context = format!("00-{trace}-00f067aa0ba902b7-01");
        let events =
            [event(1, None, &context), event(2, None, &context), event(3, None, "00-<script>-0-0"), event(4, None, "")];
        assert_eq!(traces(&events), [(trace.to_owned(), 2)]);
    }
}
