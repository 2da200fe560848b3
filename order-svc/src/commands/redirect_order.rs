use diesel_async::AsyncConnection;
use service_kit::Pool;
use shared_events::{Address, OrderId};

use super::ChangeOrderError;
use crate::domain::{Decided, Order};
use crate::store;

/// The customer wants the order to go elsewhere: it does, or stock-svc is asked. Asked again, nothing new is said.
pub async fn redirect_order(pool: &Pool, id: OrderId, address: Address) -> Result<Order, ChangeOrderError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let mut loaded = store::load_order(conn, id).await?;
        let root = loaded.order(id).ok_or(ChangeOrderError::NotFound)?;
        let (progress, destination) = (root.progress.clone(), root.destination.clone());
        let destination = destination.ok_or(ChangeOrderError::NotFound)?;
        let (destination, events) = destination.redirect(id, progress.status, address)?;
        if !events.is_empty() {
            loaded.apply(Decided { progress, destination: Some(destination), events }, None)?;
            store::save(conn, loaded).await?;
        }
        store::orders::find(conn, id).await?.ok_or(ChangeOrderError::NotFound)
    })
    .await
}
