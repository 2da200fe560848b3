//! Reads a request's input into a type, and reports everything that is wrong with it at once.
//!
//! serde stops at the first value that doesn't fit. This module notes such a value with its path, leaves it out and
//! reads everything again, until it finds nothing new. Undeclared fields are refused at any depth. Structs are read
//! from objects only, though serde would take `["ann", "Ann Lee"]` for a struct too.
//!
//! If anything is wrong with a struct, its missing fields are reported too. In that case only an `Option` may be
//! missing: a field with `#[serde(default)]` is reported as missing beside the real error.

mod access;
mod words;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;

use serde::de::value::StringDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::problem::{FieldError, InputCode};
use access::{Entries, Items, Object};

/// How many wrong fields are reported at most.
const MOST: usize = 20;

/// The input for a field.
#[derive(Clone)]
pub(super) enum Given<'a> {
    /// Well-formed JSON.
    Json(&'a str),
    /// The text of a query parameter.
    Text(Cow<'a, str>),
    /// All parameters of a query.
    Parameters(Vec<(String, Given<'a>)>),
    /// Nothing.
    Nothing,
}

/// Why a value can't be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The value doesn't fit.
    Unfit(InputCode, String),
    /// A field is missing.
    Lacks(&'static str),
    /// Something inside was noted, and there may be more.
    Noted,
    /// Everything that is wrong inside was noted.
    AllNoted,
}

/// What is known to be wrong with the input.
#[derive(Default)]
struct Report {
    errors: RefCell<Vec<FieldError>>,
    /// The paths that need not be read again.
    done: RefCell<BTreeSet<String>>,
    /// The paths of the objects that lack a field.
    lacking: RefCell<BTreeSet<String>>,
}

/// Reads the input; `name` stands for the field if the input as a whole is wrong.
pub(super) fn read<T: DeserializeOwned>(given: &Given<'_>, name: &str) -> Result<T, Vec<FieldError>> {
    let report = Report::default();
    let mut known = None;
    // This repeats until a round finds nothing new.
    while known.replace(report.known()) != Some(report.known()) {
        let reader = Reader { given: given.clone(), path: String::new(), report: &report };
        match T::deserialize(reader) {
            Ok(value) if report.errors.borrow().is_empty() => return Ok(value),
            // Each round adds at least one path to `done`.
            Err(Fault::Noted) if report.errors.borrow().len() < MOST => {}
            Err(Fault::Lacks(field)) => report.lacks("", field),
            Err(Fault::Unfit(code, message)) => {
                report.note(name, code, message);
                break;
            }
            _ => break,
        }
    }
    Err(report.errors.into_inner())
}

impl Report {
    fn note(&self, path: &str, code: InputCode, message: impl Into<String>) {
        let mut errors = self.errors.borrow_mut();
        let field = words::cut(path);
        if errors.len() < MOST && errors.iter().all(|known| known.field != field) {
            errors.push(FieldError::new(field, message).code(code));
        }
    }

    fn lacks(&self, path: &str, field: &str) {
        self.note(&access::joined(path, field), InputCode::Missing, words::MISSING);
        self.lacking.borrow_mut().insert(path.to_owned());
    }

    fn done(&self, path: String) {
        self.done.borrow_mut().insert(path);
    }

    /// How much is known, to tell whether a round found something new.
    fn known(&self) -> (usize, usize, usize) {
        (self.errors.borrow().len(), self.done.borrow().len(), self.lacking.borrow().len())
    }

    fn is_done(&self, path: &str) -> bool {
        self.done.borrow().contains(path)
    }
}

/// A value and its path.
struct Reader<'a, 'r> {
    given: Given<'a>,
    path: String,
    report: &'r Report,
}

impl<'a, 'r> Reader<'a, 'r> {
    /// The object's entries, if the value is an object.
    fn entries(&self) -> Result<Option<Vec<(String, Given<'a>)>>, Fault> {
        match &self.given {
            Given::Parameters(all) => Ok(Some(all.clone())),
            Given::Json(text) if text.starts_with('{') => {
                let Object(entries) = serde_json::from_str(text).map_err(|_| words::not_text())?;
                Ok(Some(entries.into_iter().map(|(key, value)| (key, Given::Json(value.get()))).collect()))
            }
            _ => Ok(None),
        }
    }

    fn number<V: Visitor<'a>>(text: &str, visitor: V) -> Result<V::Value, Fault> {
        if let Ok(whole) = text.parse() {
            visitor.visit_u64(whole)
        } else if let Ok(whole) = text.parse() {
            visitor.visit_i64(whole)
        } else {
            match text.parse() {
                Ok(number) if f64::is_finite(number) => visitor.visit_f64(number),
                _ => Err(Fault::Unfit(InputCode::Invalid, format!("{} is too large a number", words::cut(text)))),
            }
        }
    }

    fn wrong_kind<T>(&self, expected: &str) -> Result<T, Fault> {
        let given = match &self.given {
            Given::Nothing => return Err(words::missing()),
            Given::Text(_) => "text",
            Given::Parameters(_) => "parameters",
            Given::Json(text) => match text.bytes().next() {
                Some(b'{') => "an object",
                Some(b'[') => "a list",
                Some(b'"') => "text",
                Some(b't' | b'f') => "true or false",
                Some(b'n') => "null",
                _ => "a number",
            },
        };
        Err(Fault::Unfit(InputCode::Invalid, format!("expected {expected}, got {given}")))
    }
}

macro_rules! numbers_in_text {
    ($($method:ident $visit:ident;)*) => {$(
        fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
            if let Given::Text(text) = &self.given
                && let Ok(value) = text.parse()
            {
                return visitor.$visit(value);
            }
            self.deserialize_any(visitor)
        }
    )*};
}

impl<'a> Deserializer<'a> for Reader<'a, '_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        if let Some(entries) = self.entries()? {
            return visitor.visit_map(Entries::new(entries, self.path, self.report));
        }
        let text = match self.given {
            Given::Json(text) => text,
            Given::Text(text) => return visitor.visit_string(text.into_owned()),
            Given::Nothing | Given::Parameters(_) => return Err(words::missing()),
        };
        match text.bytes().next() {
            Some(b'[') => {
                let items: Vec<&serde_json::value::RawValue> =
                    serde_json::from_str(text).map_err(|_| words::not_text())?;
                visitor.visit_seq(Items::new(items, self.path, self.report))
            }
            Some(b'"') => visitor.visit_string(serde_json::from_str(text).map_err(|_| words::not_text())?),
            Some(b't') => visitor.visit_bool(true),
            Some(b'f') => visitor.visit_bool(false),
            Some(b'n') => visitor.visit_unit(),
            _ => Self::number(text, visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Some(given) = self.entries()? else { return self.wrong_kind("an object") };
        visitor.visit_map(Entries::declared(given, fields, self.path, self.report))
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.given {
            Given::Nothing | Given::Json("null") => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let name: String = match &self.given {
            Given::Text(text) => text.clone().into_owned(),
            Given::Json(text) if text.starts_with('"') => serde_json::from_str(text).map_err(|_| words::not_text())?,
            _ => return self.wrong_kind(&format!("one of {}", variants.join(", "))),
        };
        let name: StringDeserializer<Fault> = name.into_deserializer();
        visitor.visit_enum(name)
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    numbers_in_text! {
        deserialize_bool visit_bool; deserialize_i8 visit_i8; deserialize_i16 visit_i16; deserialize_i32 visit_i32;
        deserialize_i64 visit_i64; deserialize_u8 visit_u8; deserialize_u16 visit_u16; deserialize_u32 visit_u32;
        deserialize_u64 visit_u64;
    }

    forward_to_deserialize_any! {
        <W: Visitor<'a>>
        i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map identifier
    }
}

impl std::error::Error for Fault {}

impl Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unfit(_, message) => f.write_str(message),
            Self::Lacks(_) | Self::Noted | Self::AllNoted => f.write_str("something in it does not fit"),
        }
    }
}

impl serde::de::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self::Unfit(InputCode::Invalid, words::plain(message.to_string()))
    }

    fn invalid_type(given: Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        let expected = words::expected(&expected.to_string());
        Self::Unfit(InputCode::Invalid, format!("expected {expected}, got {}", words::given(&given)))
    }

    fn invalid_value(given: Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::invalid_type(given, expected)
    }

    fn invalid_length(length: usize, expected: &dyn serde::de::Expected) -> Self {
        Self::custom(format!("expected {}, got {length}", words::expected(&expected.to_string())))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format!("{:?} is not one of {}", words::cut(variant), expected.join(", ")))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        words::unknown(expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Lacks(field)
    }

    fn duplicate_field(_: &'static str) -> Self {
        words::twice()
    }
}

#[cfg(test)]
mod tests;
