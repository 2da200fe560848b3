use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::Pool;
use service_kit::idempotency::IdempotentRequest;
use shared_events::{LineText, Sku};

use super::{CommandError, found, once};
use crate::domain::{Delta, Unadjustable};
use crate::store::{self, products};

/// Pieces that came or went.
#[derive(Clone, Debug)]
pub struct AdjustStock {
    /// Of what.
    pub sku: Sku,
    /// How many.
    pub delta: Delta,
    /// Why.
    pub reason: LineText,
    /// Set when the request is to have one effect, however often it is sent.
    pub once: Option<IdempotentRequest>,
}

/// Adds pieces to a product's stock, or takes them away, and enters why into the ledger. Announces it when that leaves few.
/// Key, answer and all that commit together or not at all.
///
/// # Errors
/// It isn't listed; what is held would not be on hand any more; more than a level can be; the key stands for another
/// request, or is in use.
pub async fn adjust_stock(
    pool: &Pool,
    command: &AdjustStock,
    answer_with: impl Fn(products::Listed) -> serde_json::Result<Vec<u8>> + Send + Sync,
) -> Result<Vec<u8>, CommandError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        if let Some(body) = once::answered(conn, command.once.as_ref()).await? {
            return Ok(body);
        }
        let body = answer_with(adjusted(conn, command).await?)?;
        once::keep(conn, command.once.as_ref(), &body).await?;
        Ok(body)
    })
    .await
}

async fn adjusted(conn: &mut AsyncPgConnection, command: &AdjustStock) -> Result<products::Listed, CommandError> {
    let AdjustStock { sku, delta, reason, .. } = command;
    let mut loaded = store::load_products(conn, [sku.clone()]).await?;
    found(loaded.adjust(sku, delta.get(), reason.as_str()), "product")?.map_err(|why| match why {
        Unadjustable::BelowHeld { .. } => CommandError::BelowHeld(why.to_string()),
        Unadjustable::TooMany => CommandError::BadInput { field: "delta", message: why.to_string() },
    })?;
    store::save(conn, loaded).await?;
    Ok(products::get(conn, sku).await?)
}
