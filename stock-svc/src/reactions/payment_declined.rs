use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{CancelReason, Event, PaymentDeclined};

use super::conclude;
use crate::store::roots;

/// Gives back what is held, or was until it expired, since nobody will pay for it.
pub(super) async fn release(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    declined: &PaymentDeclined,
) -> Result<Handled, ReactionError> {
    let root = roots::lock_or_create(conn, declined.order_id).await?;
    let decided = root.goods.clone().release(CancelReason::PaymentDeclined);
    conclude(conn, incoming, root, decided).await
}
