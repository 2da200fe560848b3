use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, OrderConfirmed};

use crate::{commands::heard, store::roots};

/// Takes what is authorised: from here on the order goes forward or is refunded.
pub async fn capture(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    confirmed: &OrderConfirmed,
) -> Result<Handled, ReactionError> {
    let mut root = roots::lock_or_create(conn, confirmed.order_id).await?;
    let step = root.payment.confirmed();
    heard(conn, incoming, root, step).await
}
