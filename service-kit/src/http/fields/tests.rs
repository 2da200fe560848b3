use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it can be read counts")]
struct Thing {
    name: String,
    note: Option<String>,
    id: uuid::Uuid,
    parts: Vec<Part>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    count: u8,
    kind: Kind,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Small,
    Large,
}

const ID: &str = "01980a10-7c00-7000-8000-0000000000a1";

fn faults(json: &str) -> Vec<String> {
    let errors = read::<Thing>(&Given::Json(json), "body").unwrap_err();
    errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect()
}

#[test]
fn what_fits_is_read() {
    let json = format!(r#"{{"name": "a", "id": "{ID}", "parts": [{{"count": 1, "kind": "large"}}]}}"#);
    let thing: Thing = read(&Given::Json(&json), "body").unwrap();
    assert_eq!((thing.name.as_str(), thing.note, thing.parts[0].count), ("a", None, 1));
    assert!(matches!(thing.parts[0].kind, Kind::Large));
}

#[test]
fn everything_that_is_wrong_is_told_at_once_each_with_its_path() {
    let json = r#"{"extra": 1, "name": 7, "id": "x", "id": "y", "parts": [
        {"count": 300, "kind": "odd"}, {"count": 1, "kind": "small"}, {}, [1], {"count": "2", "kind": 1, "more": {}}]}"#;
    assert_eq!(
        faults(json),
        [
            "extra: is not a field here; expected name, note, id, parts",
            "id: is given twice",
            "name: expected text, got 7",
            "parts[0].count: expected a whole number from 0 to 255, got 300",
            "parts[0].kind: \"odd\" is not one of small, large",
            "parts[2].count: is missing",
            "parts[2].kind: is missing",
            "parts[3]: expected an object, got a list",
            "parts[4].more: is not a field here; expected count, kind",
            "parts[4].count: expected a whole number from 0 to 255, got \"2\"",
            "parts[4].kind: expected one of small, large, got a number",
        ]
    );
}

#[test]
fn what_is_wrong_as_a_whole_has_the_name_of_the_whole() {
    assert_eq!(faults("[]"), ["body: expected an object, got a list"]);
    assert_eq!(faults("null"), ["body: expected an object, got null"]);
}

#[test]
fn a_number_that_nothing_can_hold_and_half_a_character_are_faults_of_their_fields() {
    let json = |name: &str, count: &str| {
        format!(r#"{{"name": {name}, "id": "{ID}", "parts": [{{"count": {count}, "kind": "small"}}]}}"#)
    };
    assert_eq!(faults(&json(r#""\ud800""#, "1")), ["name: holds an escaped half of a character"]);
    for count in ["1e999", "-1e999", &"9".repeat(400), &"9".repeat(30), "1.5", "-1"] {
        let faults = faults(&json("\"a\"", count));
        assert!(faults.len() == 1 && faults[0].starts_with("parts[0].count: "), "{faults:?}");
    }
}

#[test]
fn no_more_than_twenty_are_told_of_a_thousand_and_each_in_few_words() {
    let parts = format!(r#"{{"count": "{}", "kind": 1}},"#, "x".repeat(1_000)).repeat(1_000);
    let json = format!(r#"{{"{}": 1, "parts": [{}]}}"#, "y".repeat(1_000), parts.trim_end_matches(','));
    let told = faults(&json);
    assert_eq!(told.len(), MOST);
    assert!(told.iter().all(|fault| fault.len() < 250), "{told:?}");
}

#[test]
fn what_has_a_default_may_be_missing() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Faults {
        lose: bool,
        times: u8,
    }
    impl Default for Faults {
        fn default() -> Self {
            Self { lose: false, times: 3 }
        }
    }
    let read = |json| read::<Faults>(&Given::Json(json), "body");
    assert_eq!(read(r#"{"lose": true}"#).unwrap(), Faults { lose: true, times: 3 });
    assert_eq!(read("{}").unwrap(), Faults::default());
    assert_eq!(read(r#"{"lose": 1}"#).unwrap_err()[0].field, "lose");
}

#[test]
fn every_field_that_is_missing_is_told_even_where_all_others_fit() {
    assert_eq!(faults("{}"), ["name: is missing", "id: is missing", "parts: is missing"]);
}

/// A type with a hand-written `Deserialize` may always report the same missing field.
struct NeverWhole;

impl<'de> Deserialize<'de> for NeverWhole {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::missing_field("lid"))
    }
}

#[test]
fn a_type_that_finds_the_same_fault_again_ends_the_reading() {
    let Err(errors) = read::<NeverWhole>(&Given::Json("{}"), "body") else { panic!("it is never whole") };
    assert_eq!(errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(), ["lid"]);
}
