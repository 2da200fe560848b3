//! Visits the entries of an object or a list, except those that are known to be wrong.

use std::collections::BTreeSet;
use std::vec::IntoIter;

use serde::de::value::StringDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Fault, Given, Reader, Report, words};

/// The entries of a JSON object as they are written; a key may occur twice.
pub(super) struct Object<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// The state of reading an object or a list.
struct Inside<'r> {
    path: String,
    report: &'r Report,
    wrong: bool,
}

impl Inside<'_> {
    fn is_done(&mut self, path: &str) -> bool {
        let done = self.report.is_done(path);
        self.wrong |= done;
        done
    }

    /// Ends the container: fails if something in it is known to be wrong.
    fn end<T>(&self) -> Result<Option<T>, Fault> {
        if self.wrong { Err(Fault::AllNoted) } else { Ok(None) }
    }

    fn read<'a, S: DeserializeSeed<'a>>(&self, seed: S, path: String, given: Given<'a>) -> Result<S::Value, Fault> {
        match seed.deserialize(Reader { given, path: path.clone(), report: self.report }) {
            Ok(value) => return Ok(value),
            Err(Fault::Noted) => {}
            Err(Fault::Lacks(field)) => self.report.lacks(&path, field),
            Err(Fault::AllNoted) => self.report.done(path),
            Err(Fault::Unfit(code, message)) => {
                self.report.note(&path, code, message);
                self.report.done(path);
            }
        }
        Err(Fault::Noted)
    }
}

pub(super) struct Entries<'a, 'r> {
    rest: IntoIter<(String, Given<'a>)>,
    value: Option<(String, Given<'a>)>,
    inside: Inside<'r>,
}

impl<'a, 'r> Entries<'a, 'r> {
    pub(super) fn new(entries: Vec<(String, Given<'a>)>, path: String, report: &'r Report) -> Self {
        Self { rest: entries.into_iter(), value: None, inside: Inside { path, report, wrong: false } }
    }

    /// The entries of a struct with these fields and no others. If something is known to be wrong with it, its
    /// missing fields are read as nothing, so that they are noted too.
    pub(super) fn declared(
        given: Vec<(String, Given<'a>)>,
        fields: &'static [&'static str],
        path: String,
        report: &'r Report,
    ) -> Self {
        let mut inside = Inside { path, report, wrong: false };
        let (mut seen, mut entries) = (BTreeSet::new(), Vec::with_capacity(fields.len()));
        for (key, value) in given {
            let fault = if !fields.contains(&key.as_str()) {
                words::unknown(fields)
            } else if !seen.insert(key.clone()) {
                words::twice()
            } else {
                entries.push((key, value));
                continue;
            };
            inside.wrong = true;
            if let Fault::Unfit(code, message) = fault {
                report.note(&joined(&inside.path, &key), code, message);
            }
        }
        let known = |(key, _): &(String, Given<'_>)| report.is_done(&joined(&inside.path, key));
        if inside.wrong || report.lacking.borrow().contains(&inside.path) || entries.iter().any(known) {
            let missing = fields.iter().filter(|field| !seen.contains(**field));
            entries.extend(missing.map(|field| ((*field).to_owned(), Given::Nothing)));
        }
        Self { rest: entries.into_iter(), value: None, inside }
    }
}

pub(super) fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl<'a> MapAccess<'a> for Entries<'a, '_> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        for (key, value) in self.rest.by_ref() {
            let path = joined(&self.inside.path, &key);
            if !self.inside.is_done(&path) {
                self.value = Some((path, value));
                let key: StringDeserializer<Fault> = key.into_deserializer();
                return seed.deserialize(key).map(Some);
            }
        }
        self.inside.end()
    }

    fn next_value_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let (path, given) = self.value.take().ok_or_else(words::missing)?;
        self.inside.read(seed, path, given)
    }
}

pub(super) struct Items<'a, 'r> {
    rest: std::iter::Enumerate<IntoIter<&'a RawValue>>,
    inside: Inside<'r>,
}

impl<'a, 'r> Items<'a, 'r> {
    pub(super) fn new(items: Vec<&'a RawValue>, path: String, report: &'r Report) -> Self {
        Self { rest: items.into_iter().enumerate(), inside: Inside { path, report, wrong: false } }
    }
}

impl<'a> SeqAccess<'a> for Items<'a, '_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        for (at, item) in self.rest.by_ref() {
            let path = format!("{}[{at}]", self.inside.path);
            if !self.inside.is_done(&path) {
                return self.inside.read(seed, path, Given::Json(item.get())).map(Some);
            }
        }
        self.inside.end()
    }
}
