//! Headers: in memory, and as they lie in the tables, a JSON array of pairs.

use std::fmt;
use std::io::Write;

use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::Json;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

/// The headers of a row, in order; a name may come twice.
///
/// All texts lie in one string: a row has a dozen headers, and two allocations each would cost more than reading the row.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    texts: String,
    /// Where each text ends: name, value, name, value.
    ends: Vec<usize>,
}

impl Headers {
    /// Adds one at the end.
    pub fn push(&mut self, name: &str, value: &str) {
        self.push_text(name);
        self.push_text(value);
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.ends.len() / 2
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut from = 0;
        self.ends.chunks_exact(2).map(move |ends| {
            let (name, value) = (&self.texts[from..ends[0]], &self.texts[ends[0]..ends[1]]);
            from = ends[1];
            (name, value)
        })
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    fn push_text(&mut self, text: &str) {
        self.texts.push_str(text);
        self.ends.push(self.texts.len());
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut headers = Self::default();
        pairs.into_iter().for_each(|(name, value)| headers.push(name.as_ref(), value.as_ref()));
        headers
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Headers on their way into a table.
#[derive(Debug, diesel::expression::AsExpression)]
#[diesel(sql_type = Json)]
pub(crate) struct HeaderJson<'a>(pub &'a [(String, String)]);

impl ToSql<Json, Pg> for HeaderJson<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&serde_json::to_vec(self.0)?)?;
        Ok(IsNull::No)
    }
}

/// Headers read from a table; none when they are not pairs of texts. A row that was written by other means than `append`
/// must not stop the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, diesel::deserialize::FromSqlRow)]
#[diesel(sql_type = Json)]
pub(crate) struct StoredHeaders {
    pub read: Option<Headers>,
    /// As they lie in the table.
    pub bytes: usize,
}

impl FromSql<Json, Pg> for StoredHeaders {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let json = value.as_bytes();
        Ok(Self { read: pairs(json).ok(), bytes: json.len() })
    }
}

fn pairs(json: &[u8]) -> Result<Headers, serde_json::Error> {
    // Room for a dozen headers, and for one that is added.
    let mut headers = Headers { texts: String::with_capacity(json.len() + 64), ends: Vec::with_capacity(32) };
    let mut json = serde_json::Deserializer::from_slice(json);
    Part::Pairs(&mut headers).deserialize(&mut json)?;
    json.end()?;
    Ok(headers)
}

/// A part of the JSON, whose texts go to the end of the headers as they are read.
enum Part<'a> {
    Pairs(&'a mut Headers),
    Pair(&'a mut Headers),
    Text(&'a mut Headers),
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        match self {
            Part::Text(_) => json.deserialize_str(self),
            Part::Pairs(_) | Part::Pair(_) => json.deserialize_seq(self),
        }
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of pairs of texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self {
            Part::Text(headers) => {
                headers.push_text(text);
                Ok(())
            }
            Part::Pairs(_) | Part::Pair(_) => Err(E::invalid_type(serde::de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<(), A::Error> {
        match self {
            Part::Pairs(headers) => {
                while parts.next_element_seed(Part::Pair(&mut *headers))?.is_some() {}
                Ok(())
            }
            // What follows the second text is refused by serde_json.
            Part::Pair(headers) => {
                for place in 0..2 {
                    let text = parts.next_element_seed(Part::Text(&mut *headers))?;
                    text.ok_or_else(|| A::Error::invalid_length(place, &"a name and a value"))?;
                }
                Ok(())
            }
            Part::Text(_) => Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_in_order_a_name_that_comes_twice_and_escapes_included() {
        let headers = pairs(br#"[["a", "1"], ["a", ""], ["\u00e9", "x\"\\\n\ud83d\ude00"]]"#).unwrap();
        assert_eq!(headers, [("a", "1"), ("a", ""), ("é", "x\"\\\n😀")].into_iter().collect());
        assert_eq!((headers.len(), headers.is_empty()), (3, false));
        assert_eq!((headers.get("é"), headers.get("a"), headers.get("b")), (Some("x\"\\\n😀"), Some("1"), None));
        assert!(pairs(b"[]").unwrap().is_empty());
    }

    #[test]
    fn what_is_not_pairs_of_texts_is_no_headers() {
        for json in [
            "",
            "null",
            "{}",
            r#"{"a": "1"}"#,
            r#""ab""#,
            "[1]",
            r#"["ab"]"#,
            r#"[["a"]]"#,
            "[[]]",
            r#"[["a", 1]]"#,
            r#"[["a", null]]"#,
            r#"[["a", ["b"]]]"#,
            r#"[["a", "b", "c"]]"#,
            r#"[["a", "b"],]"#,
            r#"[["a", "b"]] x"#,
            r#"[["a", "\ud83d"]]"#,
        ] {
            assert!(pairs(json.as_bytes()).is_err(), "{json}");
        }
    }
}
