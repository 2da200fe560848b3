use std::time::Duration;

use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, StockReserved};

use crate::{commands::heard, store::roots};

/// Asks the gateway to reserve the money, if the order is known; else its `order.placed` will.
pub async fn authorise(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    reserved: &StockReserved,
    deadline: Duration,
) -> Result<Handled, ReactionError> {
    let mut root = roots::lock_or_create(conn, reserved.order_id).await?;
    let step = root.payment.reserved(reserved, incoming.envelope.time, deadline);
    heard(conn, incoming, root, step).await
}
