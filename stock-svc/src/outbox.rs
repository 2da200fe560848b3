use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::result::Error;
use outbox_relay::NewRow;
use service_kit::{auth, trace};
use shared_events::{Event, EventId, EventMetadata, SequenceCounter, encode};

use crate::SOURCE;

/// Numbers `events` with the counters of their root and encodes them as rows of the outbox.
pub fn rows(
    root: &mut impl SequenceCounter,
    at: DateTime<Utc>,
    events: &[Event],
    causation_id: Option<EventId>,
) -> QueryResult<Vec<NewRow>> {
    let (traceparent, actor) = (trace::current_traceparent(), auth::actor());
    let metadata = EventMetadata { source: SOURCE, at, causation_id, traceparent, actor };
    let messages = encode(root, &metadata, events).map_err(|error| Error::SerializationError(error.into()))?;
    Ok(messages.into_iter().map(|message| message.into_row(NewRow::new)).collect())
}
