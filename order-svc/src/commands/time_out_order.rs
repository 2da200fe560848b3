use diesel_async::AsyncPgConnection;
use shared_events::OrderId;

use crate::store::{self, AnnounceError};

/// The deadline of an order has passed and everything said before it was heard: an order that is still pending is given
/// up. Runs in the transaction of the timer.
///
/// # Errors
/// The database's, and an event that can't be said.
pub async fn time_out_order(conn: &mut AsyncPgConnection, id: OrderId) -> Result<(), AnnounceError> {
    let Some(mut root) = store::roots::lock(conn, id).await? else { return Ok(()) };
    match root.progress.clone().time_out() {
        Ok((progress, says)) => {
            root.progress = progress;
            store::roots::announce(conn, &mut root, &says, None).await
        }
        Err(refused) => {
            tracing::debug!(order.id = %id, %refused, "a deadline passed without effect");
            Ok(())
        }
    }
}
