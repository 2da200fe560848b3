//! The messages about wrong values, for people who know JSON but neither Rust nor serde.

use serde::de::Unexpected;

use super::Fault;
use crate::http::problem::InputCode;

/// How many characters of the input a message repeats.
const MOST: usize = 80;

pub(super) const MISSING: &str = "is missing";

pub(super) fn missing() -> Fault {
    Fault::Unfit(InputCode::Missing, MISSING.to_owned())
}

pub(super) fn twice() -> Fault {
    Fault::Unfit(InputCode::DuplicateField, "is given twice".to_owned())
}

pub(super) fn unknown(expected: &[&str]) -> Fault {
    let expected = if expected.is_empty() { "no fields".to_owned() } else { expected.join(", ") };
    Fault::Unfit(InputCode::UnknownField, format!("is not a field here; expected {expected}"))
}

pub(super) fn not_text() -> Fault {
    Fault::Unfit(InputCode::Invalid, "holds an escaped half of a character".to_owned())
}

pub(super) fn cut(text: &str) -> String {
    text.chars().take(MOST).collect()
}

/// Translates what serde says a type expects.
pub(super) fn expected(said: &str) -> String {
    let whole = |from: &str, to: &str| format!("a whole number from {from} to {to}");
    match said {
        "u8" => whole("0", "255"),
        "u16" => whole("0", "65535"),
        "u32" => whole("0", "4294967295"),
        "i8" => whole("-128", "127"),
        "i16" => whole("-32768", "32767"),
        "i32" => whole("-2147483648", "2147483647"),
        "u64" | "usize" | "u128" | "i64" | "isize" | "i128" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a string" | "a borrowed string" | "a character" | "str" => "text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "unit" => "null".to_owned(),
        _ if said.contains("UUID") => "a UUID".to_owned(),
        _ if said.starts_with("a sequence") || said.starts_with("an array") => "a list".to_owned(),
        _ if said.starts_with("struct ") || said.starts_with("a map") => "an object".to_owned(),
        _ => said.to_owned(),
    }
}

/// Describes the value that was given.
pub(super) fn given(unexpected: &Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(value) => value.to_string(),
        Unexpected::Signed(value) => value.to_string(),
        Unexpected::Float(value) => value.to_string(),
        Unexpected::Str(text) => format!("{:?}", cut(text)),
        Unexpected::Char(one) => format!("{one:?}"),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        _ => "something else".to_owned(),
    }
}

/// A message that a type gives; those of libraries are translated.
pub(super) fn plain(message: String) -> String {
    if message.starts_with("UUID parsing failed") { "it is not a UUID".to_owned() } else { message }
}
