//! Decoding any bytes ends in an event or an error, never in a panic, and a decoded event can be encoded and decoded
//! again. Inputs that once failed, and some that look as if they might, are kept in `tests/corpus`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod samples;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Map, Number, Value};
use shared_events::{DecodeError, Event, Topic};

/// Decodes, and reads everything of the event that a consumer would read.
fn read(type_name: &str, value: &[u8]) -> Result<Event, DecodeError> {
    let read = Event::decode(type_name, value);
    match &read {
        Ok(event) => {
            let looked_at = (event.topic(), event.key(), event.subject(), event.correlation(), format!("{event:?}"));
            assert!(Topic::ALL.contains(&looked_at.0));
            assert_eq!(event.type_name(), type_name);
            let again = Event::decode(type_name, &event.value().unwrap()).unwrap();
            assert_eq!(&again, event, "what was written is not what was read");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    read
}

fn types() -> Vec<&'static str> {
    Event::types().collect()
}

/// Type names as producers write them, and names that are almost right.
fn type_name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(types()).prop_map(str::to_owned),
        1 => (prop::sample::select(types()), any::<u8>()).prop_map(|(name, at)| cut(name, at)),
        1 => ".*",
        1 => "[a-z]{1,8}\\.[a-z_]{1,16}\\.v[0-9]{0,25}",
    ]
}

fn cut(text: &str, at: u8) -> String {
    text.chars().take(usize::from(at) % (text.len() + 1)).collect()
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| Number::from_f64(number).map_or(Value::Null, Value::Number)),
        ".*".prop_map(Value::from),
        prop::sample::select(vec![
            "EUR",
            "IE",
            "",
            "\u{0}",
            "01980a10-7c00-7000-8000-0000000000a1",
            "9".repeat(400).leak()
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((".*", inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A valid event in which one part, found by following `way`, is replaced.
fn spoiled() -> impl Strategy<Value = (&'static str, Value)> {
    let samples: Vec<(&'static str, Vec<u8>)> =
        samples::events().into_iter().map(|event| (event.type_name(), event.value().unwrap())).collect();
    (prop::sample::select(samples), prop::collection::vec(any::<prop::sample::Index>(), 1..5), any_json()).prop_map(
        |((type_name, value), way, other)| {
            let mut whole: Value = serde_json::from_slice(&value).unwrap();
            *part(&mut whole, &way) = other;
            (type_name, whole)
        },
    )
}

fn part<'a>(value: &'a mut Value, way: &[prop::sample::Index]) -> &'a mut Value {
    let parts = value.as_array().map(Vec::len).or_else(|| value.as_object().map(Map::len)).unwrap_or(0);
    let (Some((step, rest)), true) = (way.split_first(), parts > 0) else { return value };
    let at = step.index(parts);
    match value {
        Value::Array(items) => part(&mut items[at], rest),
        Value::Object(fields) => part(fields.values_mut().nth(at).unwrap(), rest),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(name in type_name(), value in prop::collection::vec(any::<u8>(), 0..512)) {
        let _read = read(&name, &value);
    }

    #[test]
    fn no_json_makes_the_reader_panic(name in type_name(), value in any_json()) {
        let _read = read(&name, value.to_string().as_bytes());
    }

    #[test]
    fn an_event_with_a_part_that_is_something_else_is_read_or_refused((name, value) in spoiled()) {
        let _read = read(name, value.to_string().as_bytes());
    }

    #[test]
    fn an_event_that_is_cut_off_or_has_a_byte_changed_is_read_or_refused(
        sample in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()
    ) {
        let samples = samples::events();
        let event = &samples[sample.index(samples.len())];
        let mut value = event.value().unwrap();
        let at = at.index(value.len());
        if cut { value.truncate(at) } else { value[at] = byte }
        let _read = read(event.type_name(), &value);
    }
}

/// The corpus. Each file holds one value and is named after its type; what follows `__` says what is odd about it.
#[test]
fn what_was_found_odd_before_is_read_or_refused() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut read_ones = 0;
    for file in fs::read_dir(corpus).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().split("__").next().unwrap();
        let refused = read(name, &fs::read(&path).unwrap()).is_err();
        assert!(refused, "{} was read as an event", path.display());
        // It is no event of another type either.
        for other in types() {
            let _read = read(other, &fs::read(&path).unwrap());
        }
        read_ones += 1;
    }
    assert!(read_ones >= 10, "{read_ones} files in the corpus");
}

/// Deep nesting must be refused by the reader's limit, before the stack overflows.
#[test]
fn a_value_that_is_nested_without_end_is_refused() {
    for open in ["[", "{\"a\":", "{\"lines\":["] {
        let value = open.repeat(200_000);
        for name in types() {
            assert!(matches!(read(name, value.as_bytes()), Err(DecodeError::Malformed { .. })));
        }
    }
}
