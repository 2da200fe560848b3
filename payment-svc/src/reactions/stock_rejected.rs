use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError, Why};
use shared_events::{Event, Rejection, StockRejected};

use crate::{commands::heard, store::roots};

/// Stock was short: the note is closed. A hold that expired and could not be had again closes nothing: the money waits
/// for `stock.released`.
pub async fn close(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    rejected: &StockRejected,
) -> Result<Handled, ReactionError> {
    if rejected.rejection == Rejection::Expired {
        return Ok(Handled::Ignored(Why::refused("money follows stock.released")));
    }
    let mut root = roots::lock_or_create(conn, rejected.order_id).await?;
    let step = root.payment.rejected_for_shortages();
    heard(conn, incoming, root, step).await
}
