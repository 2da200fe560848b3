use diesel_async::AsyncConnection;
use service_kit::Pool;
use shared_events::OrderId;

use super::ChangeOrderError;
use crate::domain::Order;
use crate::store;

/// The customer cancels: the order goes to `cancelling` and stock-svc is asked for the goods. Asked again, nothing new
/// is said.
pub async fn cancel_order(pool: &Pool, id: OrderId) -> Result<Order, ChangeOrderError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let mut loaded = store::load_order(conn, id).await?;
        let progress = loaded.order(id).ok_or(ChangeOrderError::NotFound)?.progress.clone();
        let step = progress.clone().cancel()?;
        if step.0 != progress {
            loaded.apply(step.into(), None)?;
            store::save(conn, loaded).await?;
        }
        store::orders::find(conn, id).await?.ok_or(ChangeOrderError::NotFound)
    })
    .await
}
