use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::result::Error;
use outbox_relay::NewRow;
use shared_events::{Event, EventMetadata, SequenceCounter, encode};

use crate::SOURCE;
use crate::store::Causation;

/// Numbers `events` with the counter of their root and encodes them as rows of the outbox. `actor` is who of the staff or
/// the operators they go back to.
pub fn rows(
    root: &mut impl SequenceCounter,
    at: DateTime<Utc>,
    events: &[Event],
    causation: &Causation,
    actor: Option<String>,
) -> QueryResult<Vec<NewRow>> {
    let Causation { event: causation_id, traceparent } = causation.clone();
    let said = EventMetadata { source: SOURCE, at, causation_id, traceparent, actor };
    let messages = encode(root, &said, events).map_err(|error| Error::SerializationError(error.into()))?;
    Ok(messages.into_iter().map(|message| message.into_row(NewRow::new)).collect())
}
