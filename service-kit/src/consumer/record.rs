//! A Kafka record, and the CloudEvents envelope in its headers (binary mode).

use chrono::{DateTime, Utc};
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers as _};
use uuid::Uuid;

use super::hops::Arrival;
use super::{Reactions, Undecodable, key_hash};
use crate::trace::Context;

/// The longest key that is kept whole. PostgreSQL limits what it can index, and any record must be able to become a
/// dead letter.
const KEY_BYTES: usize = 1_000;

/// The CloudEvents attributes of an event, read from its `ce_` headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// `ce_id`, a UUID v7.
    pub id: Uuid,
    /// `ce_source`: the service that published it.
    pub source: String,
    /// `ce_type`.
    pub event_type: String,
    /// `ce_time`: when the change was made, by the producer's clock.
    pub time: DateTime<Utc>,
    /// `ce_subject`: the aggregate's id.
    pub subject: Option<String>,
    /// `ce_sequence`: the count of this key's events on this topic, from 1.
    pub sequence: Option<i64>,
    /// `ce_correlationid`.
    pub correlation_id: Option<String>,
    /// `ce_causationid`: the event that caused this one.
    pub causation_id: Option<Uuid>,
    /// `ce_traceparent`: the W3C trace context in which the change was made.
    pub traceparent: Option<String>,
}

/// Where a record is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// An event that was read from a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming<E> {
    /// The event.
    pub event: E,
    /// Its envelope.
    pub envelope: Envelope,
    /// The record's key.
    pub key: String,
    /// Where it is stored.
    pub place: Place,
}

/// A record as it is stored in Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it is stored.
    pub place: Place,
    /// The key as text; invalid UTF-8 is replaced, and a missing key is empty. A key over 1,000 bytes is cut, and
    /// ends in a hash of the whole.
    pub key: String,
    /// Names and values, in order. Invalid UTF-8 is replaced.
    pub headers: Vec<(String, String)>,
    /// The raw value; none for a tombstone.
    pub value: Option<Vec<u8>>,
    /// When it was sent and read; none unless it came from Kafka just now.
    pub(crate) arrival: Option<Arrival>,
}

impl Record {
    pub(crate) fn read(message: &BorrowedMessage<'_>) -> Self {
        let fetched = Utc::now();
        Self {
            place: Place {
                topic: message.topic().to_owned(),
                partition: message.partition(),
                offset: message.offset(),
            },
            key: bounded(text(message.key().unwrap_or_default())),
            headers: message
                .headers()
                .into_iter()
                .flat_map(|headers| headers.iter())
                .map(|header| (text(header.key.as_bytes()), text(header.value.unwrap_or_default())))
                .collect(),
            value: message.payload().map(<[u8]>::to_vec),
            arrival: Some(Arrival {
                sent: message.timestamp().to_millis().and_then(DateTime::from_timestamp_millis),
                fetched,
                taken: fetched,
            }),
        }
    }

    /// The value of the first header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The span that sent it, or the one in which the change was made, by a sender that tells of that alone.
    pub(crate) fn context(&self) -> Option<Context> {
        self.header("traceparent").or_else(|| self.header("ce_traceparent")).and_then(Context::parse)
    }

    /// What a dead letter parks.
    pub(crate) fn topic_and_key(&self) -> (&str, &str) {
        (&self.place.topic, &self.key)
    }

    /// The event's id, if it is a UUID v7: the inbox can hold no other.
    pub(crate) fn event_id(&self) -> Option<Uuid> {
        let id: Uuid = self.header("ce_id")?.parse().ok()?;
        (id.get_version_num() == 7).then_some(id)
    }

    /// Its size in Kafka, approximately.
    pub(crate) fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + headers + self.value.as_ref().map_or(0, Vec::len)
    }

    /// The memory that it takes, approximately.
    pub(crate) fn memory(&self) -> usize {
        let header = size_of::<(String, String)>() + 16;
        size_of::<Self>() + self.place.topic.len() + self.headers.len() * header + self.bytes()
    }

    /// Decodes the envelope and the event.
    pub(crate) fn decode<R: Reactions>(&self, reactions: &R) -> Result<Incoming<R::Event>, Undecodable> {
        let event_type = self.required("ce_type")?;
        let value = self.value.as_deref().ok_or_else(|| Undecodable::Malformed("it has no value".to_owned()))?;
        // The type comes first: a type from the future may have an envelope that this build doesn't know either.
        let event = reactions.decode(event_type, value)?;
        let envelope = self.envelope(event_type)?;
        Ok(Incoming { event, envelope, key: self.key.clone(), place: self.place.clone() })
    }

    fn envelope(&self, event_type: &str) -> Result<Envelope, Undecodable> {
        let id = self.required("ce_id")?;
        let id = self.event_id().ok_or_else(|| malformed("ce_id", id, "a UUID v7"))?;
        let time = self.required("ce_time")?;
        let parsed =
            DateTime::parse_from_rfc3339(time).map_err(|_| malformed("ce_time", time, "a time as in RFC 3339"))?;
        Ok(Envelope {
            id,
            source: self.required("ce_source")?.to_owned(),
            event_type: event_type.to_owned(),
            time: parsed.to_utc(),
            subject: self.header("ce_subject").map(str::to_owned),
            sequence: self.parsed("ce_sequence", "a number")?,
            correlation_id: self.header("ce_correlationid").map(str::to_owned),
            causation_id: self.parsed("ce_causationid", "a UUID")?,
            traceparent: self.header("ce_traceparent").map(str::to_owned),
        })
    }

    fn required(&self, name: &'static str) -> Result<&str, Undecodable> {
        self.header(name).ok_or_else(|| Undecodable::Malformed(format!("the header {name} is missing")))
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Undecodable> {
        self.header(name).map(|value| value.parse().map_err(|_| malformed(name, value, expected))).transpose()
    }
}

fn malformed(name: &str, value: &str, expected: &str) -> Undecodable {
    Undecodable::Malformed(format!("the header {name} is {value:?} instead of {expected}"))
}

/// Text that PostgreSQL can store: NULs and invalid UTF-8 become U+FFFD.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

/// Cuts a key to what an index can hold. Two long keys with the same hash share a queue of dead letters, which is
/// harmless.
pub(crate) fn bounded(mut key: String) -> String {
    if key.len() > KEY_BYTES {
        let tail = format!("#{:08x}", key_hash(&key));
        let room = KEY_BYTES - tail.len();
        key.truncate((0..=room).rev().find(|at| key.is_char_boundary(*at)).unwrap_or(0));
        key.push_str(&tail);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_key_is_cut_and_still_told_from_others() {
        assert_eq!(bounded("k".repeat(KEY_BYTES)), "k".repeat(KEY_BYTES));
        let long = "\u{20ac}".repeat(KEY_BYTES);
        let cut = bounded(long.clone());
        assert!(cut.len() <= KEY_BYTES && cut.starts_with("\u{20ac}\u{20ac}"), "{cut}");
        assert_eq!(bounded(long.clone()), cut);
        assert_ne!(bounded(long + "2"), cut);
    }
}
