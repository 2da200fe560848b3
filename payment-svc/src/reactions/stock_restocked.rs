use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, EventId, StockRestocked};

use crate::{commands::heard, domain::refund_because_of, store::roots};

/// Goods are back on the shelf: refunds the price of their lines. What came back because it was returned is refunded
/// only out of what was captured; what came back because the order was cancelled undoes whatever there is.
pub async fn undo(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    restocked: &StockRestocked,
) -> Result<Handled, ReactionError> {
    let mut root = roots::lock_or_create(conn, restocked.order_id).await?;
    let step = root.payment.restocked(refund_because_of(EventId(incoming.envelope.id)), restocked);
    heard(conn, incoming, root, step).await
}
