use diesel_async::AsyncConnection;
use service_kit::Pool;
use shared_events::Sku;

use super::CommandError;
use crate::store::{self, products};

/// How many products a transaction announces: their rows are locked until it ends.
const BATCH: i64 = 200;

/// What one batch announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// How many products.
    pub products: usize,
    /// The last of them, after which the next batch begins; none when there were none.
    pub last: Option<Sku>,
}

/// Announces the products after `after`, in the order of their SKUs, as they are: with the next sequence each, so that
/// whoever heard of them before takes it for the newest word, which says the same.
///
/// # Errors
/// The database fails; then nothing of the batch is announced.
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
