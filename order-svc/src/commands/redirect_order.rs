use diesel_async::AsyncConnection;
use service_kit::Pool;
use shared_events::{Address, OrderId};

use super::ChangeOrderError;
use crate::domain::Order;
use crate::store;

/// The customer wants the order to go elsewhere: it does, or stock-svc is asked. Asked again, nothing new is said.
///
/// # Errors
/// See [`ChangeOrderError`].
pub async fn redirect_order(pool: &Pool, id: OrderId, address: Address) -> Result<Order, ChangeOrderError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let mut root = store::roots::lock(conn, id).await?.ok_or(ChangeOrderError::NotFound)?;
        let order = store::orders::find(conn, id).await?.ok_or(ChangeOrderError::NotFound)?;
        let (order, says) = order.redirect(address)?;
        if says.is_empty() {
            return Ok(order);
        }
        store::orders::send_to(conn, id, &order.destination).await?;
        store::roots::announce(conn, &mut root, &says, None).await?;
        store::orders::find(conn, id).await?.ok_or(ChangeOrderError::NotFound)
    })
    .await
}
