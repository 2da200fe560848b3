//! The timer that ends holds. Nothing else does, so that a late `confirmed` and the expiry are decided in one place.

use diesel_async::AsyncPgConnection;
use service_kit::consumer::ReactionError;
use shared_events::OrderId;

use crate::store::{levels, roots};

/// Ends the hold of an order, if it still is one; the timer may have come while it was being made firm.
///
/// # Errors
/// What the database says.
pub async fn expire(conn: &mut AsyncPgConnection, order_id: OrderId) -> Result<(), ReactionError> {
    let Some(mut root) = roots::lock(conn, order_id).await? else { return Ok(()) };
    levels::lock(conn, root.goods.lines().iter().map(|line| &line.sku)).await?;
    match root.goods.clone().expire() {
        Ok(change) => Ok(roots::keep_and_announce(conn, &mut root, change, None).await?),
        Err(refused) => {
            tracing::debug!(order.id = %order_id, reason = %refused, "a hold's timer came late");
            Ok(())
        }
    }
}
