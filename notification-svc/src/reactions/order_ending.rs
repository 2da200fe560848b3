use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, ReactionError};
use shared_events::OrderId;

use crate::store::roots;

/// Remembers whether the order is to end: while it is, nobody is promised any more that it goes on. `cancel_refused`
/// takes it back.
pub(super) async fn note(conn: &mut AsyncPgConnection, order: OrderId, ending: bool) -> Result<Handled, ReactionError> {
    let root = roots::lock_or_create(conn, order).await?;
    roots::note_ending(conn, &root, ending).await?;
    Ok(Handled::Applied)
}
