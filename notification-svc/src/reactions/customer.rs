use anyhow::anyhow;
use service_kit::consumer::{Handled, Incoming, ReactionError, Why};
use shared_events::{CustomerEvent, Event};

use crate::store::Loaded;

/// Remembers how a customer wants to be told, or that they are forgotten, unless something newer is known.
pub(super) fn remember(
    loaded: &mut Loaded,
    incoming: &Incoming<Event>,
    event: &CustomerEvent,
) -> Result<Handled, ReactionError> {
    let sequence = incoming
        .envelope
        .sequence
        .ok_or_else(|| ReactionError::permanent(anyhow!("a customer without ce_sequence can't be put in order")))?;
    let profile = match event {
        CustomerEvent::Changed(changed) => Some(changed.into()),
        CustomerEvent::Forgotten(_) => None,
    };
    let is_newest = loaded.keep_newest(event.customer_id().as_str(), sequence, profile);
    Ok(if is_newest { Handled::Applied } else { Handled::Ignored(Why::Stale) })
}
