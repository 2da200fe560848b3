use service_kit::consumer::{Handled, Incoming, ReactionError, Why};
use shared_events::{Event, EventId, OrderId};

use super::decide;
use crate::store::Loaded;

/// Records an event in the order and its history, moves the status, and announces what follows. An event that changes
/// nothing goes into the history too.
pub(super) fn hear(loaded: &mut Loaded, incoming: &Incoming<Event>) -> Result<Handled, ReactionError> {
    let (event, heard) = (&incoming.event, &incoming.envelope);
    let Some(order_id) = event.correlation().map(OrderId) else { return Ok(Handled::Ignored(Why::NotForUs)) };
    let Some(root) = loaded.order(order_id) else {
        return Ok(Handled::Ignored(Why::refused("there is no such order")));
    };
    let mut last_sequences = root.last_sequences;
    let why = if !heard.sequence.is_none_or(|sequence| last_sequences.note(event.topic(), sequence)) {
        Why::Stale
    } else {
        match decide(root.progress.clone(), root.destination.clone(), event, EventId(heard.id)) {
            Some(Ok(decided)) => {
                loaded.apply(decided, Some((heard, last_sequences)))?;
                return Ok(Handled::Applied);
            }
            Some(Err(refused)) => Why::refused(refused.to_string()),
            None => return Ok(Handled::Ignored(Why::NotForUs)),
        }
    };
    loaded.note_ignored(order_id, heard, why.to_string());
    Ok(Handled::Ignored(why))
}
