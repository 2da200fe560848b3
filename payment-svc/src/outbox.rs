//! How what payment-svc says gets into its outbox.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::result::Error;
use outbox_relay::NewRow;
use shared_events::{EncodedEvent, Event, EventMetadata, SequenceCounter, encode};

use crate::SOURCE;
use crate::store::Causation;

/// Numbers `events` with the counter of their root and dresses them for the outbox.
///
/// # Errors
/// None in practice: every event can be written as JSON.
pub fn rows(
    root: &mut impl SequenceCounter,
    at: DateTime<Utc>,
    events: &[Event],
    causation: &Causation,
) -> QueryResult<Vec<NewRow>> {
    let Causation { event: because_of, traceparent } = causation.clone();
    let said = EventMetadata { source: SOURCE, at, because_of, traceparent };
    let messages = encode(root, &said, events).map_err(|error| Error::SerializationError(error.into()))?;
    let row = |message: EncodedEvent| NewRow {
        event_id: message.event_id.0,
        topic: message.topic.name().to_owned(),
        key: message.key,
        headers: message.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        payload: message.value,
    };
    Ok(messages.into_iter().map(row).collect())
}
