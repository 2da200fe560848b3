use anyhow::anyhow;
use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError, Why};
use shared_events::{Event, ProductState};

use crate::store;

/// Remembers what a product costs, unless something newer is known.
pub async fn remember(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    state: &ProductState,
) -> Result<Handled, ReactionError> {
    let sequence = incoming
        .envelope
        .sequence
        .ok_or_else(|| ReactionError::permanent(anyhow!("a product without ce_sequence can't be ranked")))?;
    let kept = store::products::keep_newest(conn, sequence, state).await?;
    Ok(if kept { Handled::Applied } else { Handled::Ignored(Why::Stale) })
}
