//! CloudEvents 1.0 in Kafka's binary mode (the attributes as headers, the data as value):
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md>.

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use crate::{Event, EventId, Topic};

/// The names of the headers.
#[expect(missing_docs, reason = "names that say themselves; the README has the table")]
pub mod header {
    pub const SPECVERSION: &str = "ce_specversion";
    pub const ID: &str = "ce_id";
    pub const SOURCE: &str = "ce_source";
    pub const TYPE: &str = "ce_type";
    pub const TIME: &str = "ce_time";
    pub const SUBJECT: &str = "ce_subject";
    pub const SEQUENCE: &str = "ce_sequence";
    pub const CORRELATION_ID: &str = "ce_correlationid";
    pub const CAUSATION_ID: &str = "ce_causationid";
    pub const DATASCHEMA: &str = "ce_dataschema";
    pub const TRACEPARENT: &str = "ce_traceparent";
    pub const ACTOR: &str = "ce_actor";
    pub const CONTENT_TYPE: &str = "content-type";
}

/// The root row of a key, which counts the key's events on each topic.
pub trait SequenceCounter {
    /// Counts one more event on `topic` and returns its number, from 1 without a gap.
    fn next_sequence(&mut self, topic: Topic) -> i64;
}

/// What an event's headers say besides the event itself.
#[derive(Clone, Debug)]
pub struct EventMetadata<'a> {
    /// The service that publishes it, as in `/order-svc`.
    pub source: &'a str,
    /// When the change was made.
    pub at: DateTime<Utc>,
    /// The event that caused this one; none if a person or a timer did.
    pub causation_id: Option<EventId>,
    /// The W3C trace context in which the change was made.
    pub traceparent: Option<String>,
    /// Whoever of staff and operators asked for it.
    pub actor: Option<String>,
}

/// An event as it is stored in the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedEvent {
    /// `ce_id`.
    pub event_id: EventId,
    /// The topic to publish it on.
    pub topic: Topic,
    /// The record's key, which decides the partition and so the order.
    pub key: String,
    /// The CloudEvents attributes, in the order of the README's table.
    pub headers: Vec<(&'static str, String)>,
    /// The event's data, as JSON.
    pub value: Vec<u8>,
}

impl EncodedEvent {
    /// The event as a row of an outbox, which `row` makes of its id, topic, key, headers and value.
    pub fn into_row<Row>(
        self,
        row: impl FnOnce(Uuid, &'static str, String, Vec<(&'static str, String)>, Vec<u8>) -> Row,
    ) -> Row {
        row(self.event_id.0, self.topic.name(), self.key, self.headers, self.value)
    }
}

/// Numbers `events` with the counters of their root, and encodes them for the outbox.
///
/// # Errors
/// Fails if an event can't be written as JSON, which no event here can cause.
pub fn encode(
    root: &mut impl SequenceCounter,
    metadata: &EventMetadata<'_>,
    events: &[Event],
) -> serde_json::Result<Vec<EncodedEvent>> {
    events.iter().map(|event| encode_one(root.next_sequence(event.topic()), metadata, event)).collect()
}

fn encode_one(sequence: i64, metadata: &EventMetadata<'_>, event: &Event) -> serde_json::Result<EncodedEvent> {
    let event_id = EventId(Uuid::now_v7());
    let mut headers = vec![
        (header::SPECVERSION, "1.0".to_owned()),
        (header::ID, event_id.to_string()),
        (header::SOURCE, metadata.source.to_owned()),
        (header::TYPE, event.type_name().to_owned()),
        (header::TIME, metadata.at.to_rfc3339_opts(SecondsFormat::Micros, true)),
        (header::SUBJECT, event.subject()),
        (header::SEQUENCE, format!("{sequence:020}")),
    ];
    headers.extend(event.correlation().map(|id| (header::CORRELATION_ID, id.to_string())));
    headers.extend(metadata.causation_id.map(|id| (header::CAUSATION_ID, id.to_string())));
    headers.push((header::DATASCHEMA, format!("urn:quadrille:event:{}", event.type_name())));
    headers.extend(metadata.traceparent.clone().map(|context| (header::TRACEPARENT, context)));
    headers.extend(metadata.actor.clone().map(|actor| (header::ACTOR, actor)));
    headers.push((header::CONTENT_TYPE, "application/json".to_owned()));
    Ok(EncodedEvent { event_id, topic: event.topic(), key: event.key(), headers, value: event.value()? })
}
