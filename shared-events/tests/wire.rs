//! A snapshot of each event as it goes on the wire: a difference here is a change for every consumer. `cargo insta
//! review` accepts a snapshot; the README says what may change.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared by two test programs, each of which needs a part")]
mod samples;

use std::collections::HashMap;

use shared_events::*;

#[derive(Default)]
struct Root(HashMap<Topic, i64>);

impl SequenceCounter for Root {
    fn next_sequence(&mut self, topic: Topic) -> i64 {
        let count = self.0.entry(topic).or_default();
        *count += 1;
        *count
    }
}

fn metadata() -> EventMetadata<'static> {
    EventMetadata {
        source: "/a-svc",
        at: samples::at("2026-07-14T09:30:00.000001Z"),
        causation_id: Some(EventId(samples::CAUSE)),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        actor: None,
    }
}

/// The event as text, with the parts that differ each time replaced by their names.
fn written(message: &EncodedEvent) -> String {
    let headers = message.headers.iter().map(|(name, value)| match *name {
        header::ID => format!("{name}: [a new UUID v7]\n"),
        _ => format!("{name}: {value}\n"),
    });
    let value: serde_json::Value = serde_json::from_slice(&message.value).unwrap();
    format!("{} {}\n{}\n{value:#}", message.topic, message.key, headers.collect::<String>())
}

#[test]
fn the_wire_is_as_it_was() {
    for event in samples::events() {
        let message = encode(&mut Root::default(), &metadata(), std::slice::from_ref(&event)).unwrap().remove(0);
        insta::assert_snapshot!(event.type_name(), written(&message));
    }
}

#[test]
fn every_type_has_a_sample() {
    let samples: Vec<&str> = samples::events().iter().map(Event::type_name).collect();
    assert_eq!(samples, Event::types().collect::<Vec<_>>());
}

#[test]
fn what_is_written_is_read_back_the_same() {
    for event in samples::events() {
        let value = event.value().unwrap();
        assert_eq!(Event::decode(event.type_name(), &value).unwrap(), event);
    }
}

#[test]
fn a_root_counts_each_topic_by_itself_without_a_gap() {
    let mut root = Root::default();
    let messages = encode(&mut root, &metadata(), &samples::events()).unwrap();
    for topic in Topic::ALL {
        let heard: Vec<i64> = messages
            .iter()
            .filter(|m| m.topic == topic)
            .map(|m| header_of(m, header::SEQUENCE).parse().unwrap())
            .collect();
        assert_eq!(heard, (1..=i64::try_from(heard.len()).unwrap()).collect::<Vec<_>>(), "{topic}");
    }
}

#[test]
fn a_sequence_is_padded_so_that_text_sorts_like_numbers() {
    let message = encode(&mut Root::default(), &metadata(), &samples::events()[..1]).unwrap().remove(0);
    assert_eq!(header_of(&message, header::SEQUENCE), "00000000000000000001");
}

#[test]
fn each_event_gets_an_id_of_its_own_that_the_header_repeats() {
    let messages = encode(&mut Root::default(), &metadata(), &samples::events()).unwrap();
    let mut ids: Vec<EventId> = messages.iter().map(|m| m.event_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), messages.len());
    assert!(messages.iter().all(|m| header_of(m, header::ID) == m.event_id.to_string()));
    assert!(ids.iter().all(|id| id.0.get_version_num() == 7));
}

#[test]
fn what_nothing_caused_and_nobody_traced_says_neither() {
    let metadata = EventMetadata { causation_id: None, traceparent: None, ..metadata() };
    let message = encode(&mut Root::default(), &metadata, &samples::events()[..1]).unwrap().remove(0);
    let names: Vec<&str> = message.headers.iter().map(|(name, _)| *name).collect();
    assert!(!names.contains(&header::CAUSATION_ID) && !names.contains(&header::TRACEPARENT));
}

fn header_of<'a>(message: &'a EncodedEvent, name: &str) -> &'a str {
    message.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str()).unwrap()
}
