use diesel_async::AsyncConnection;
use service_kit::Pool;
use shared_events::Sku;

use super::{CommandError, found};
use crate::store::products;

/// Takes a product out of the catalogue and announces it; again is nothing new. What is held for orders stays theirs.
///
/// # Errors
/// It isn't listed.
pub async fn withdraw_product(pool: &Pool, sku: &Sku) -> Result<(), CommandError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let root = found(products::lock(conn, sku).await, "product")?;
        if let (product, Some(event)) = root.product.clone().withdraw() {
            products::keep_and_announce(conn, root, product, &[event]).await?;
        }
        Ok(())
    })
    .await
}
