use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, EventId, ShipmentLost};

use crate::{commands::heard, domain::refund_because_of, store::roots};

/// A parcel never arrived: refunds the price of its lines out of what was captured.
pub async fn refund(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    lost: &ShipmentLost,
) -> Result<Handled, ReactionError> {
    let mut root = roots::lock_or_create(conn, lost.order_id).await?;
    let step = root.payment.lost(refund_because_of(EventId(incoming.envelope.id)), lost);
    heard(conn, incoming, root, step).await
}
