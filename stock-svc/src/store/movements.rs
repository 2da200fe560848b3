//! The ledger of changes of `on_hand`. The sum of a SKU's movements is what is on hand.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::prepared;
use shared_events::{OrderId, Sku, StockLine};
use uuid::Uuid;

use crate::domain::StockMovement;
use crate::schema::movements;

#[derive(Clone, Debug)]
pub struct NewMovement {
    sku: Sku,
    kind: &'static str,
    quantity: i64,
    order_id: Option<Uuid>,
    reason: Option<String>,
}

impl NewMovement {
    /// The movement of an order's line; none if its stock stays on hand.
    pub(super) fn of_order(order_id: OrderId, movement: StockMovement, line: &StockLine) -> Option<Self> {
        let (kind, quantity) = (movement.kind()?, movement.signs().0 * i64::from(line.quantity));
        Some(Self { sku: line.sku.clone(), kind, quantity, order_id: Some(order_id.0), reason: None })
    }

    /// A movement by hand: `listed` with the product, or `adjusted` with a reason.
    pub fn by_hand(sku: &Sku, kind: &'static str, quantity: i64, reason: Option<&str>) -> Self {
        Self { sku: sku.clone(), kind, quantity, order_id: None, reason: reason.map(str::to_owned) }
    }
}

/// Enters movements into the ledger, in order.
pub async fn enter(mut conn: &AsyncPgConnection, movements: &[NewMovement]) -> QueryResult<()> {
    let mut rows = Enter::default();
    for movement in movements {
        rows.skus.push(movement.sku.as_str());
        rows.kinds.push(movement.kind);
        rows.quantities.push(movement.quantity);
        rows.order_ids.push(movement.order_id);
        rows.reasons.push(movement.reason.as_deref());
    }
    if !rows.skus.is_empty() {
        rows.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    #[derive(Default)]
    struct Enter<'a> {
        skus: Vec<&'a str> as Array<Text>,
        kinds: Vec<&'a str> as Array<Text>,
        quantities: Vec<i64> as Array<BigInt>,
        order_ids: Vec<Option<Uuid>> as Array<Nullable<SqlUuid>>,
        reasons: Vec<Option<&'a str>> as Array<Nullable<Text>>,
    };
    "insert into movements (sku, kind, quantity, order_id, reason) select * from unnest(?, ?, ?, ?, ?)"
}

#[derive(Clone, Debug, Queryable)]
pub struct Movement {
    pub id: i64,
    /// `listed`, `adjusted`, `committed` or `restocked`.
    pub kind: String,
    /// The change of `on_hand`.
    pub quantity: i64,
    order_id: Option<Uuid>,
    pub reason: Option<String>,
    pub at: DateTime<Utc>,
}

impl Movement {
    pub fn order_id(&self) -> Option<OrderId> {
        self.order_id.map(OrderId)
    }
}

/// Up to `limit` movements of a SKU, newest first.
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
