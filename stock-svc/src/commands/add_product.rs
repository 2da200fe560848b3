use diesel_async::AsyncConnection;
use service_kit::Pool;
use shared_events::Sku;

use super::{CommandError, NewDetails};
use crate::domain::{OnHand, Product};
use crate::store::{self, products};

/// Lists a product with its initial stock, and announces it. Fails if its SKU is taken, also by a withdrawn product,
/// or if its category doesn't exist.
pub async fn add_product(
    pool: &Pool,
    sku: Sku,
    details: NewDetails,
    on_hand: OnHand,
) -> Result<products::Listed, CommandError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let details = details.with_category(conn).await?;
        let (product, event) = Product::list(sku.clone(), details);
        let mut loaded = products::insert(conn, product.clone(), on_hand.get())
            .await?
            .ok_or_else(|| CommandError::AlreadyThere(format!("There is a product {sku} already.")))?;
        let low = product.stock_low(on_hand.get());
        let events: Vec<_> = [event].into_iter().chain(low).collect();
        loaded.keep_product(product, &events)?;
        store::save(conn, loaded).await?;
        Ok(products::get(conn, &sku).await?)
    })
    .await
}
