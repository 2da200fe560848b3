use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, StockRejected};

use crate::{commands::heard, store::roots};

/// Stock was short: the note is closed. A hold that expired and could not be had again closes nothing: the money waits
/// for `stock.released`.
pub async fn close(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    rejected: &StockRejected,
) -> Result<Handled, ReactionError> {
    let mut root = roots::lock_or_create(conn, rejected.order_id).await?;
    let step = root.payment.rejected(&rejected.rejection);
    heard(conn, incoming, root, step).await
}
