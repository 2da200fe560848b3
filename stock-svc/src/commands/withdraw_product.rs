use diesel_async::AsyncConnection;
use service_kit::Pool;
use shared_events::Sku;

use super::{CommandError, Expected, found};
use crate::store;

/// Withdraws a product from the catalogue and announces it. Repeating it changes nothing. Stock that is held for
/// orders stays held. Fails if the product isn't listed or is not in an expected version.
pub async fn withdraw_product(pool: &Pool, sku: &Sku, expected: &Expected) -> Result<(), CommandError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let mut loaded = store::load_products(conn, [sku.clone()]).await?;
        let (root, _) = found(loaded.product(sku), "product")?;
        expected.met_by(root.version)?;
        if let (product, Some(event)) = root.product.clone().withdraw() {
            loaded.keep_product(product, &[event])?;
            store::save(conn, loaded).await?;
        }
        Ok(())
    })
    .await
}
