//! The ledger of what changed on_hand. For each SKU its sum is what is on hand.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use shared_events::Sku;

use crate::schema::movements;

/// Enters pieces that came or went by hand: `listed` with the product, or `adjusted` with a reason.
///
/// # Errors
/// What the database says.
pub async fn enter(
    conn: &mut AsyncPgConnection,
    sku: &Sku,
    kind: &str,
    quantity: i64,
    reason: Option<&str>,
) -> QueryResult<()> {
    diesel::insert_into(movements::table)
        .values((
            movements::sku.eq(sku.as_str()),
            movements::kind.eq(kind),
            movements::quantity.eq(quantity),
            movements::reason.eq(reason),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
