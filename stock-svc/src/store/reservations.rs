//! Lists reservations. They are written with the root of their order.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use shared_events::{OrderId, StockLine};
use uuid::Uuid;

use super::from_json;
use crate::schema::orders;

#[derive(Clone, Debug)]
pub struct Listed {
    pub order_id: OrderId,
    pub state: String,
    /// Why it was released or cancelled, if it was.
    pub release_reason: Option<String>,
    /// When it expires, while it is held.
    pub expires_at: Option<DateTime<Utc>>,
    pub lines: Vec<StockLine>,
    pub updated_at: DateTime<Utc>,
}

type Row = (Uuid, Option<String>, Option<String>, Option<DateTime<Utc>>, Value, DateTime<Utc>);

/// Up to `limit` reservations, newest first: order ids sort by time. They are those of one order, or all after
/// `after`.
pub async fn list(
    conn: &mut AsyncPgConnection,
    of: Option<OrderId>,
    after: Option<OrderId>,
    limit: i64,
) -> QueryResult<Vec<Listed>> {
    let columns = (
        orders::order_id,
        orders::reservation,
        orders::release_reason,
        orders::expires_at,
        orders::lines,
        orders::updated_at,
    );
    let mut query = orders::table
        .filter(orders::reservation.is_not_null())
        .select(columns)
        .order(orders::order_id.desc())
        .limit(limit)
        .into_boxed();
    if let Some(of) = of {
        query = query.filter(orders::order_id.eq(of.0));
    }
    if let Some(after) = after {
        query = query.filter(orders::order_id.lt(after.0));
    }
    let rows: Vec<Row> = query.load(conn).await?;
    rows.into_iter()
        .map(|(order_id, state, release_reason, expires_at, lines, updated_at)| {
            let (order_id, state, lines) = (OrderId(order_id), state.unwrap_or_default(), from_json(lines)?);
            Ok(Listed { order_id, state, release_reason, expires_at, lines, updated_at })
        })
        .collect()
}
