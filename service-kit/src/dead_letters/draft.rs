//! What an event may be changed to: another body, and some of its headers. Its id stays, by which the inbox knows it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::consumer::Record;

/// The headers that may be changed. Who sent the event, its id and its trace stay what they were.
pub(super) const CHANGEABLE: [&str; 9] = [
    "ce_type",
    "ce_time",
    "ce_subject",
    "ce_sequence",
    "ce_correlationid",
    "ce_causationid",
    "ce_dataschema",
    "ce_datacontenttype",
    "content-type",
];

/// The name of a header that may be changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String)]
pub struct HeaderName(String);

impl TryFrom<String> for HeaderName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if CHANGEABLE.contains(&name.as_str()) {
            return Ok(Self(name));
        }
        Err(format!("{name:?} stays what it is; what may be changed is {}", CHANGEABLE.join(", ")))
    }
}

/// The value of a header.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, max_length = 1000, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
pub struct HeaderValue(String);

impl TryFrom<String> for HeaderValue {
    type Error = &'static str;

    fn try_from(value: String) -> Result<Self, Self::Error> {
        let fits = value.chars().count() <= 1_000 && !value.chars().any(char::is_control);
        if fits { Ok(Self(value)) } else { Err("expected at most 1000 characters without control characters") }
    }
}

/// New values of the headers that may be changed, for the document.
pub(super) fn changed_headers() -> RefOr<Schema> {
    let headers = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Object, Type::Null]));
    let headers = CHANGEABLE.iter().fold(headers, |all, name| all.property(*name, HeaderValue::schema()));
    headers.additional_properties(Some(AdditionalProperties::FreeForm(false))).into()
}

/// A change to an event.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The new body, to the letter; none leaves it as it is.
    pub payload: Option<Box<RawValue>>,
    /// New values of headers that may be changed.
    pub headers: BTreeMap<HeaderName, HeaderValue>,
}

impl Draft {
    /// Changes the record. A header that it lacks is added at the end; of one that it has twice the first is changed, which is
    /// the one that is read.
    pub(super) fn apply(self, record: &mut Record) {
        if let Some(payload) = self.payload {
            record.value = Some(payload.get().as_bytes().to_vec());
        }
        for (HeaderName(name), HeaderValue(value)) in self.headers {
            match record.headers.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => record.headers.push((name, value)),
            }
        }
    }
}
