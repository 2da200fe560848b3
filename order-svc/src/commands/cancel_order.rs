use diesel_async::AsyncConnection;
use service_kit::{Pool, timers};
use shared_events::OrderId;

use super::{ChangeOrderError, DEADLINE_TIMER};
use crate::domain::Order;
use crate::store;

/// The customer cancels: the order goes to `cancelling` and stock-svc is asked for the goods. Asked again, nothing new
/// is said.
///
/// # Errors
/// See [`ChangeOrderError`].
pub async fn cancel_order(pool: &Pool, id: OrderId) -> Result<Order, ChangeOrderError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let mut root = store::roots::lock(conn, id).await?.ok_or(ChangeOrderError::NotFound)?;
        let (progress, says) = root.progress.clone().cancel()?;
        if progress != root.progress {
            root.progress = progress;
            store::roots::announce(conn, &mut root, &says, None).await?;
            timers::cancel(conn, DEADLINE_TIMER, &id.to_string()).await?;
        }
        store::orders::find(conn, id).await?.ok_or(ChangeOrderError::NotFound)
    })
    .await
}
