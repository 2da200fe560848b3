use anyhow::anyhow;
use service_kit::consumer::{Handled, Incoming, ReactionError, Why};
use shared_events::{Event, ProductState};

use crate::store::Loaded;

/// Remembers what a product costs, unless something newer is known.
pub(super) fn remember(
    loaded: &mut Loaded,
    incoming: &Incoming<Event>,
    state: &ProductState,
) -> Result<Handled, ReactionError> {
    let sequence = incoming
        .envelope
        .sequence
        .ok_or_else(|| ReactionError::permanent(anyhow!("a product without ce_sequence can't be put in order")))?;
    Ok(if loaded.keep_newest(sequence, state) { Handled::Applied } else { Handled::Ignored(Why::Stale) })
}
