use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, RestockCause, StockRestocked};

use super::refund_because_of;
use crate::{commands::heard, store::roots};

/// Goods are back on the shelf: refunds the price of their lines. What came back because it was returned is refunded
/// only out of what was captured; what came back because the order was cancelled undoes whatever there is.
pub async fn undo(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    restocked: &StockRestocked,
) -> Result<Handled, ReactionError> {
    let mut root = roots::lock_or_create(conn, restocked.order_id).await?;
    let refund = refund_because_of(incoming);
    let step = match restocked.cause {
        RestockCause::Cancelled => root.payment.restocked_by_cancel(refund, &restocked.lines),
        RestockCause::Returned => root.payment.restocked_by_return(refund, &restocked.lines),
    };
    heard(conn, incoming, root, step).await
}
