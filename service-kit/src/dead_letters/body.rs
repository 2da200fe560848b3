//! JSON of any shape that a request brings, nested no deeper than a reader of it can bear.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep it may be nested.
const LEVELS: u8 = 64;

/// A body of an event.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Body(pub Value);

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Levels(LEVELS).deserialize(deserializer).map(Self)
    }
}

/// How many more levels are taken.
#[derive(Clone, Copy)]
struct Levels(u8);

impl Levels {
    fn inside<E: Error>(self) -> Result<Self, E> {
        let deeper = self.0.checked_sub(1).map(Self);
        deeper.ok_or_else(|| E::custom(format!("is nested deeper than {LEVELS} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Levels {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Levels {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("is too large a number"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let (inside, mut list) = (self.inside()?, Vec::new());
        while let Some(item) = items.next_element_seed(inside)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let (inside, mut object) = (self.inside()?, Map::new());
        while let Some(key) = entries.next_key()? {
            object.insert(key, entries.next_value_seed(inside)?);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_of_any_shape_is_taken_and_too_deep_a_nest_is_not() {
        let whole = json!({"a": [1, -2, 1.5, null, true, "x"], "b": {"c": {}}});
        assert_eq!(serde_json::from_str::<Body>(&whole.to_string()).unwrap().0, whole);
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(serde_json::from_str::<Body>(&nested(64)).is_ok());
        let told = serde_json::from_str::<Body>(&nested(65)).unwrap_err().to_string();
        assert!(told.starts_with("is nested deeper than 64 levels"), "{told}");
    }
}
