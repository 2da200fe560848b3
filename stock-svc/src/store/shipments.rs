use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Jsonb;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::Value;
use service_kit::prepared;
use shared_events::{OrderId, ShipmentId};
use uuid::Uuid;

use super::loaded::Loaded;
use super::{from_json, parsed, to_json, unreadable};
use crate::domain::{Shipment, Stage};
use crate::schema::shipments;

#[derive(Queryable, Selectable, Serialize)]
#[diesel(table_name = shipments)]
struct Row {
    id: Uuid,
    order_id: Uuid,
    status: String,
    lines: Value,
    carrier: Option<String>,
    tracking_number: Option<String>,
    created_at: DateTime<Utc>,
    packed_at: Option<DateTime<Utc>>,
    dispatched_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    cancelled_at: Option<DateTime<Utc>>,
    returned: Value,
    returned_at: Option<DateTime<Utc>>,
    lost_at: Option<DateTime<Utc>>,
    split_into: Value,
    delivery_address: Option<Value>,
}

/// The shipments of these orders, oldest first. The orders' roots must be locked.
pub async fn of_orders(mut conn: &AsyncPgConnection, orders: &[Uuid]) -> QueryResult<Vec<(OrderId, Shipment)>> {
    let rows: Vec<Row> = shipments::table
        .filter(shipments::order_id.eq_any(orders))
        .order(shipments::id)
        .select(Row::as_select())
        .load(&mut conn)
        .await?;
    rows.into_iter().map(read).collect()
}

/// The order that a shipment belongs to. Fails with `NotFound` if there is no such shipment.
pub async fn order_of(conn: &mut AsyncPgConnection, id: ShipmentId) -> QueryResult<OrderId> {
    shipments::table.find(id.0).select(shipments::order_id).first(conn).await.map(OrderId)
}

/// A shipment and its order. Fails with `NotFound` if there is no such shipment.
pub async fn get(conn: &mut AsyncPgConnection, id: ShipmentId) -> QueryResult<(OrderId, Shipment)> {
    shipments::table.find(id.0).select(Row::as_select()).first(conn).await.and_then(read)
}

#[derive(Clone, Debug, Default)]
pub struct ShipmentFilter {
    pub order_id: Option<OrderId>,
    pub stage: Option<Stage>,
    pub after: Option<ShipmentId>,
}

/// Up to `limit` shipments and their orders, newest first.
pub async fn list(
    conn: &mut AsyncPgConnection,
    wanted: ShipmentFilter,
    limit: i64,
) -> QueryResult<Vec<(OrderId, Shipment)>> {
    let mut query = shipments::table.select(Row::as_select()).order(shipments::id.desc()).limit(limit).into_boxed();
    if let Some(order_id) = wanted.order_id {
        query = query.filter(shipments::order_id.eq(order_id.0));
    }
    if let Some(stage) = wanted.stage {
        query = query.filter(shipments::status.eq(stage.name()));
    }
    if let Some(after) = wanted.after {
        query = query.filter(shipments::id.lt(after.0));
    }
    query.load(conn).await?.into_iter().map(read).collect()
}

pub(super) async fn save(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let changed = loaded.changed.shipments.iter().filter_map(|(order_id, id)| {
        let shipments = &loaded.orders.get(order_id)?.allocation.shipments;
        shipments.iter().find(|shipment| shipment.id == *id).map(|shipment| row(*order_id, shipment))
    });
    let rows = changed.collect::<QueryResult<Vec<_>>>()?;
    if !rows.is_empty() {
        Save { rows: &to_json(&rows)? }.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    struct Save<'a> { rows: &'a Value as Jsonb };
    "insert into shipments (id, order_id, status, lines, carrier, tracking_number, created_at, packed_at, dispatched_at, \
         delivered_at, cancelled_at, returned, returned_at, lost_at, split_into, delivery_address) \
     select id, order_id, status, lines, carrier, tracking_number, created_at, packed_at, dispatched_at, \
         delivered_at, cancelled_at, returned, returned_at, lost_at, split_into, delivery_address \
     from jsonb_populate_recordset(null::shipments, ?) \
     on conflict (id) do update set status = excluded.status, carrier = excluded.carrier, \
         tracking_number = excluded.tracking_number, packed_at = excluded.packed_at, \
         dispatched_at = excluded.dispatched_at, delivered_at = excluded.delivered_at, \
         cancelled_at = excluded.cancelled_at, returned = excluded.returned, returned_at = excluded.returned_at, \
         lost_at = excluded.lost_at, split_into = excluded.split_into, delivery_address = excluded.delivery_address"
}

fn row(order_id: OrderId, shipment: &Shipment) -> QueryResult<Row> {
    Ok(Row {
        id: shipment.id.0,
        order_id: order_id.0,
        status: shipment.stage.name().to_owned(),
        lines: to_json(&shipment.lines)?,
        carrier: shipment.carrier.as_ref().map(ToString::to_string),
        tracking_number: shipment.tracking_number.as_ref().map(ToString::to_string),
        created_at: shipment.created_at,
        packed_at: shipment.packed_at,
        dispatched_at: shipment.dispatched_at,
        delivered_at: shipment.delivered_at,
        cancelled_at: shipment.cancelled_at,
        returned: to_json(&shipment.returned)?,
        returned_at: shipment.returned_at,
        lost_at: shipment.lost_at,
        split_into: to_json(&shipment.split_into)?,
        delivery_address: shipment.address.as_ref().map(to_json).transpose()?,
    })
}

fn read(row: Row) -> QueryResult<(OrderId, Shipment)> {
    let stage =
        Stage::from_name(&row.status).ok_or_else(|| unreadable(format!("a shipment that is {:?}", row.status)))?;
    let shipment = Shipment {
        id: ShipmentId(row.id),
        stage,
        lines: from_json(row.lines)?,
        carrier: row.carrier.as_deref().map(parsed).transpose()?,
        tracking_number: row.tracking_number.as_deref().map(parsed).transpose()?,
        created_at: row.created_at,
        packed_at: row.packed_at,
        dispatched_at: row.dispatched_at,
        delivered_at: row.delivered_at,
        cancelled_at: row.cancelled_at,
        returned: from_json(row.returned)?,
        returned_at: row.returned_at,
        lost_at: row.lost_at,
        split_into: from_json(row.split_into)?,
        address: row.delivery_address.map(from_json).transpose()?,
    };
    Ok((OrderId(row.order_id), shipment))
}
