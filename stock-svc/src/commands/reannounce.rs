use diesel_async::AsyncConnection;
use service_kit::Pool;
use shared_events::Sku;

use super::CommandError;
use crate::store::{self, products};

/// How many products one transaction announces. It keeps their rows locked until it ends.
const BATCH: i64 = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    pub products: usize,
    /// The last SKU of the batch, after which the next one begins; none if the batch was empty.
    pub last: Option<Sku>,
}

/// Announces the products after `after` again, in the order of their SKUs and each with its next sequence. Consumers
/// take it for the newest state, which is the same as before. If it fails, nothing of the batch is announced.
pub async fn reannounce(pool: &Pool, after: Option<&Sku>) -> Result<Announced, CommandError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let skus = products::skus_after(conn, after, BATCH).await?;
        let announced = Announced { products: skus.len(), last: skus.last().cloned() };
        let mut loaded = store::load_products(conn, skus).await?;
        loaded.announce_products()?;
        store::save(conn, loaded).await?;
        Ok(announced)
    })
    .await
}
