//! The root row of an order. Its lock puts what is queued, sent and announced for the order into one line.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use service_kit::prepared;
use shared_events::OrderId;
use uuid::Uuid;

use super::loaded::{Announced, Loaded, Root};
use crate::domain::{Contact, Order};
use crate::schema::{line_names, orders};

#[derive(Queryable, Selectable)]
#[diesel(table_name = orders)]
struct Row {
    order_id: Uuid,
    customer_name: Option<String>,
    customer_email: Option<String>,
    notifications_said: i64,
    ending: bool,
}

/// Locks the roots of these orders and creates those of unknown ones: first the new ones, then the others, each sorted,
/// so transactions lock in one order. Also returns the others' ids: only of those something more is known.
pub(super) async fn lock_or_make(conn: &mut AsyncPgConnection, mut ids: Vec<Uuid>) -> QueryResult<(Loaded, Vec<Uuid>)> {
    ids.sort_unstable();
    ids.dedup();
    let made: Vec<(Uuid, DateTime<Utc>)> = Make { ids: &ids }.load(conn).await?;
    ids.retain(|id| made.binary_search_by_key(id, |(made, _)| *made).is_err());
    let mut loaded = lock(conn, &ids).await?;
    if let [(_, now), ..] = &made[..] {
        loaded.now = *now;
    }
    let unheard = made.into_iter().map(|(id, _)| (Order::unheard(OrderId(id)), Announced(0)));
    loaded.orders.extend(Loaded::new(loaded.now, unheard).orders);
    Ok((loaded, ids))
}

prepared! {
    struct Make<'a> { ids: &'a [Uuid] as Array<SqlUuid> } -> (SqlUuid, Timestamptz);
    "insert into orders (order_id) select unnest(?) on conflict do nothing returning order_id, now()"
}

/// Locks the roots of those orders that exist. The ids are sorted.
pub(super) async fn lock(conn: &mut AsyncPgConnection, ids: &[Uuid]) -> QueryResult<Loaded> {
    let locked: Vec<(Row, DateTime<Utc>)> = if ids.is_empty() {
        Vec::new()
    } else {
        orders::table
            .filter(orders::order_id.eq_any(ids))
            .order(orders::order_id)
            .select((Row::as_select(), diesel::dsl::now.into_sql::<Timestamptz>()))
            .for_update()
            .load(conn)
            .await?
    };
    let now = match &locked[..] {
        [(_, now), ..] => *now,
        [] => Utc::now(),
    };
    Ok(Loaded::new(now, locked.into_iter().map(|(row, _)| read(row))))
}

fn read(row: Row) -> (Order, Announced) {
    let customer = row.customer_name.zip(row.customer_email).map(|(name, address)| Contact { name, address });
    let order = Order { customer, ending: row.ending, ..Order::unheard(OrderId(row.order_id)) };
    (order, Announced(row.notifications_said))
}

/// The names of the lines of these orders, by SKU; none before `order.placed` was read.
pub(super) async fn line_names(
    mut conn: &AsyncPgConnection,
    orders: Vec<Uuid>,
) -> QueryResult<Vec<(OrderId, BTreeMap<String, String>)>> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(Uuid, Value)> =
        line_names::table.filter(line_names::order_id.eq_any(orders)).load(&mut conn).await?;
    let read = |(id, names)| {
        let names = serde_json::from_value(names).map_err(|error| super::unreadable(error.to_string()))?;
        Ok((OrderId(id), names))
    };
    rows.into_iter().map(read).collect()
}

pub(super) async fn save(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let mut rows = Save::default();
    for Root { before, order, announced, was_announced } in loaded.orders.values() {
        if (&before.customer, before.ending, was_announced) == (&order.customer, order.ending, announced) {
            continue;
        }
        rows.ids.push(order.id.0);
        rows.names.push(order.customer.as_ref().map(|customer| customer.name.as_str()));
        rows.addresses.push(order.customer.as_ref().map(|customer| customer.address.as_str()));
        rows.ending.push(order.ending);
        rows.announced.push(announced.0);
    }
    if !rows.ids.is_empty() {
        rows.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    #[derive(Default)]
    struct Save<'a> {
        ids: Vec<Uuid> as Array<SqlUuid>,
        names: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        addresses: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        ending: Vec<bool> as Array<Bool>,
        announced: Vec<i64> as Array<BigInt>,
    };
    "update orders set customer_name = new.name, customer_email = new.address, ending = new.ending, \
         notifications_said = new.announced \
     from unnest(?, ?, ?, ?, ?) as new (order_id, name, address, ending, announced) \
     where orders.order_id = new.order_id"
}

/// Writes the names of the lines of orders whose customer became known.
pub(super) async fn save_line_names(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let introduced = |root: &&Root| root.before.customer.is_none() && root.order.customer.is_some();
    let orders: Vec<_> = loaded.orders.values().filter(introduced).map(|root| &root.order).collect();
    if orders.is_empty() {
        return Ok(());
    }
    let ids = orders.iter().map(|order| order.id.0).collect();
    let names = orders.iter().map(|order| serde_json::to_value(&order.line_names)).collect::<Result<Vec<_>, _>>();
    let names = names.map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
    SaveLineNames { ids, names: &names }.execute(&mut conn).await.map(drop)
}

prepared! {
    struct SaveLineNames<'a> { ids: Vec<Uuid> as Array<SqlUuid>, names: &'a [Value] as Array<Jsonb> };
    "insert into line_names (order_id, names) select * from unnest(?, ?) on conflict do nothing"
}
