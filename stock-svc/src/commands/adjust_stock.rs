use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::Pool;
use service_kit::idempotency::{IdempotentRequest, Response, once};
use shared_events::{LineText, Sku};

use super::{CommandError, found};
use crate::domain::{Delta, Unadjustable};
use crate::store::{self, products};

#[derive(Clone, Debug)]
pub struct AdjustStock {
    pub sku: Sku,
    pub delta: Delta,
    pub reason: LineText,
    /// Set if the request must have one effect, however often it is sent.
    pub idempotency: Option<IdempotentRequest>,
}

/// Changes a product's stock by hand and enters the reason into the ledger. If the stock falls below its mark, that is
/// announced. The key and its response commit with the change. Fails if the product isn't listed, if less than the held
/// stock or more than the maximum would be on hand, or if the key is in use or belongs to another request.
pub async fn adjust_stock(
    pool: &Pool,
    command: &AdjustStock,
    answer_with: impl Fn(products::Listed) -> serde_json::Result<Vec<u8>> + Send + Sync,
) -> Result<Vec<u8>, CommandError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let work = async |conn: &mut AsyncPgConnection| {
            Ok(Response { body: answer_with(adjusted(conn, command).await?)?, order_id: None })
        };
        once(conn, command.idempotency.as_ref(), work).await
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
