//! The golden files are written by hand and stand for what other programs may have sent. If one can't be decoded any
//! more, or decodes differently, the wire format has changed under its consumers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared by two test programs, each of which needs a part")]
mod samples;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::value::RawValue;
use shared_events::{Event, EventMetadata, SequenceCounter, Topic, encode, header};

#[derive(Deserialize)]
struct Golden {
    topic: String,
    key: String,
    headers: BTreeMap<String, String>,
    value: Box<RawValue>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn golden(type_name: &str) -> Golden {
    let path = folder().join(format!("{type_name}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_type_has_a_golden_file_and_every_file_a_type() {
    let types: BTreeSet<String> = Event::types().map(str::to_owned).collect();
    let files: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().trim_end_matches(".json").to_owned())
        .collect();
    assert_eq!(types, files);
}

#[test]
fn every_golden_file_decodes_to_the_event_it_describes() {
    let expected: BTreeMap<&str, Event> = samples::events().into_iter().map(|e| (e.type_name(), e)).collect();
    for type_name in Event::types() {
        let golden = golden(type_name);
        let decoded = Event::decode(&golden.headers[header::TYPE], golden.value.get().as_bytes())
            .unwrap_or_else(|error| panic!("{type_name}: {error}"));
        assert_eq!(Some(&decoded), expected.get(type_name), "{type_name}");
    }
}

#[test]
fn an_event_says_the_topic_key_and_attributes_that_its_golden_file_has() {
    for event in samples::events() {
        let type_name = event.type_name();
        let golden = golden(type_name);
        assert_eq!(event.topic().name(), golden.topic, "{type_name}");
        assert_eq!(event.key(), golden.key, "{type_name}");
        let message = encode(&mut Always(sequence(&golden)), &metadata(&golden), &[event]).unwrap().remove(0);
        let volatile = |name: &str| name == header::ID;
        let sent: BTreeMap<&str, &str> =
            message.headers.iter().map(|(name, value)| (*name, value.as_str())).filter(|(n, _)| !volatile(n)).collect();
        let golden: BTreeMap<&str, &str> =
            golden.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).filter(|(n, _)| !volatile(n)).collect();
        assert_eq!(sent, golden, "{type_name}");
    }
}

/// A root whose counter always returns the same number.
struct Always(i64);

impl SequenceCounter for Always {
    fn next_sequence(&mut self, _: Topic) -> i64 {
        self.0
    }
}

fn sequence(golden: &Golden) -> i64 {
    golden.headers[header::SEQUENCE].parse().unwrap()
}

fn metadata(golden: &Golden) -> EventMetadata<'_> {
    EventMetadata {
        source: &golden.headers[header::SOURCE],
        at: samples::at(&golden.headers[header::TIME]),
        causation_id: golden.headers.get(header::CAUSATION_ID).map(|id| id.parse().unwrap()),
        traceparent: golden.headers.get(header::TRACEPARENT).cloned(),
        actor: golden.headers.get(header::ACTOR).cloned(),
    }
}
