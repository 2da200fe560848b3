//! The ledger of what changed on_hand. For each SKU its sum is what is on hand.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use shared_events::{OrderId, Sku};
use uuid::Uuid;

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

/// One entry of the ledger.
#[derive(Clone, Debug, Queryable)]
pub struct Movement {
    /// Counts all entries.
    pub id: i64,
    /// `listed`, `adjusted`, `committed` or `restocked`.
    pub kind: String,
    /// By how many pieces on_hand changed.
    pub quantity: i64,
    order_id: Option<Uuid>,
    /// Why it was adjusted.
    pub reason: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

impl Movement {
    /// For which order, if it was for one.
    pub fn order_id(&self) -> Option<OrderId> {
        self.order_id.map(OrderId)
    }
}

/// At most `limit` movements of a SKU, newest first.
///
/// # Errors
/// What the database says.
pub async fn list(
    conn: &mut AsyncPgConnection,
    sku: &Sku,
    after: Option<i64>,
    limit: i64,
) -> QueryResult<Vec<Movement>> {
    let columns =
        (movements::id, movements::kind, movements::quantity, movements::order_id, movements::reason, movements::at);
    movements::table
        .filter(movements::sku.eq(sku.as_str()).and(movements::id.lt(after.unwrap_or(i64::MAX))))
        .select(columns)
        .order(movements::id.desc())
        .limit(limit)
        .load(conn)
        .await
}
