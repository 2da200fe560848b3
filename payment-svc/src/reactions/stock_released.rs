use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, EventId, StockReleased};

use crate::{commands::heard, domain::refund_because_of, store::roots};

/// Nothing is held for the order any more: voids what is authorised, refunds what is captured, closes what was never
/// started, and leaves a tombstone where the order was never heard of.
pub async fn undo(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    released: &StockReleased,
) -> Result<Handled, ReactionError> {
    let mut root = roots::lock_or_create(conn, released.order_id).await?;
    let step = root.payment.released(refund_because_of(EventId(incoming.envelope.id)));
    heard(conn, incoming, root, step).await
}
