use diesel_async::AsyncConnection;
use service_kit::Pool;
use shared_events::{LineText, Sku};

use super::{CommandError, found};
use crate::domain::{Delta, Unadjustable};
use crate::store::{levels, movements, products};

/// Adds pieces to a product's stock, or takes them away, and enters why into the ledger. Announces it when that leaves few.
///
/// # Errors
/// It isn't listed; what is held would not be on hand any more; more than a level can be.
pub async fn adjust_stock(
    pool: &Pool,
    sku: &Sku,
    delta: Delta,
    reason: &LineText,
) -> Result<products::Listed, CommandError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let level = found(levels::lock_one(conn, sku).await, "product")?;
        let adjusted = level.adjusted(delta.get()).map_err(|why| match why {
            Unadjustable::BelowHeld { .. } => CommandError::Conflict(why.to_string()),
            Unadjustable::TooMany => CommandError::BadInput { field: "delta", message: why.to_string() },
        })?;
        levels::set_on_hand(conn, sku, adjusted.on_hand).await?;
        movements::enter(conn, sku, "adjusted", delta.get(), Some(reason.as_str())).await?;
        let listed = products::get(conn, sku).await?;
        if listed.product.is_low(adjusted.available()) && !listed.product.is_low(level.available()) {
            products::announce_low(conn, sku, adjusted.available(), None).await?;
        }
        Ok(listed)
    })
    .await
}
