use diesel_async::AsyncConnection;
use service_kit::Pool;
use shared_events::Sku;

use super::{CommandError, found};
use crate::store::{self, products};

/// Puts a withdrawn product back into the catalogue and announces it; so is stock that is low. Repeating it changes
/// nothing. Fails if the product was never listed.
pub async fn relist_product(pool: &Pool, sku: &Sku) -> Result<products::Listed, CommandError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let mut loaded = store::load_products(conn, [sku.clone()]).await?;
        let (root, level) = found(loaded.product(sku), "product")?;
        if let (product, Some(event)) = root.product.clone().relist() {
            let events: Vec<_> = [event].into_iter().chain(product.stock_low(level.available())).collect();
            loaded.keep_product(product, &events)?;
            store::save(conn, loaded).await?;
        }
        Ok(products::get(conn, sku).await?)
    })
    .await
}
