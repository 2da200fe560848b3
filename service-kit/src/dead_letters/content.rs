//! What a dead letter, or an event that a dry run announces, holds, as people read it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

/// What stands for the value of a header that may be a secret.
pub(super) const HIDDEN: &str = "(not shown)";

/// The names of headers whose values are not shown have one of these in them.
const SECRET: [&str; 8] = ["authorization", "cookie", "password", "secret", "token", "signature", "api-key", "api_key"];

/// A header of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = RecordHeader)]
pub struct Header {
    /// Its name; one may occur twice.
    pub name: String,
    /// Its value. `(not shown)` stands for one that may be a secret.
    pub value: String,
}

/// Whether what has this name may be a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SECRET.iter().any(|part| lower.contains(part))
}

/// The headers in their order, without secrets.
pub(super) fn shown(headers: Vec<(String, String)>) -> Vec<Header> {
    let header = |(name, value): (String, String)| Header {
        value: if is_secret(&name) { HIDDEN.to_owned() } else { value },
        name,
    };
    headers.into_iter().map(header).collect()
}

/// How the bytes of a record's value are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PayloadFormat)]
pub enum Format {
    /// They are JSON, which is shown as it is.
    Json,
    /// They are UTF-8, and no JSON.
    Text,
    /// They are neither.
    Base64,
    /// There are none.
    None,
}

/// The value of a record.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RecordPayload)]
pub struct Payload {
    /// What `value` is.
    pub format: Format,
    /// The JSON as it came, or text; null if the record had no value.
    #[schema(value_type = Value)]
    pub value: Option<Box<RawValue>>,
}

impl Payload {
    pub(super) fn of(value: Option<&[u8]>) -> Self {
        let Some(bytes) = value else { return Self { format: Format::None, value: None } };
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Self { format: Format::Base64, value: to_raw_value(&STANDARD.encode(bytes)).ok() };
        };
        // What is nested too deeply for a reader is shown as text.
        match serde_json::from_str::<Value>(text).and_then(|_| RawValue::from_string(text.to_owned())) {
            Ok(json) => Self { format: Format::Json, value: Some(json) },
            Err(_) => Self { format: Format::Text, value: to_raw_value(text).ok() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> (Format, String) {
        let payload = Payload::of(Some(bytes));
        (payload.format, payload.value.unwrap().get().to_owned())
    }

    #[test]
    fn json_is_shown_as_it_came_and_what_is_none_as_text_or_base64() {
        let exact = r#"{"b": 12345678901234567890123, "a":1.50}"#;
        assert_eq!(of(exact.as_bytes()), (Format::Json, exact.to_owned()));
        assert_eq!(of(b"no <b>JSON</b>"), (Format::Text, "\"no <b>JSON</b>\"".to_owned()));
        assert_eq!(of(&[0xff, 0x00]), (Format::Base64, "\"/wA=\"".to_owned()));
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        assert_eq!(of(deep.as_bytes()).0, Format::Text);
        assert_eq!(Payload::of(None).format, Format::None);
    }

    #[test]
    fn a_header_that_may_be_a_secret_is_named_and_its_value_is_not_shown() {
        let given = [("ce_type", "a.v1"), ("X-Api-Key", "k"), ("Authorization", "Bearer t")];
        let headers = shown(given.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec());
        let values: Vec<_> = headers.iter().map(|header| header.value.as_str()).collect();
        assert_eq!(values, ["a.v1", HIDDEN, HIDDEN]);
    }
}
