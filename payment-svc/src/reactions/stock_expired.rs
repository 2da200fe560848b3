use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, StockExpired};

use crate::{commands::heard, store::roots};

/// The hold ended by time: nothing is authorised any more; what is authorised or captured stays.
pub async fn stop(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    expired: &StockExpired,
) -> Result<Handled, ReactionError> {
    let mut root = roots::lock_or_create(conn, expired.order_id).await?;
    let step = root.payment.expired();
    heard(conn, incoming, root, step).await
}
