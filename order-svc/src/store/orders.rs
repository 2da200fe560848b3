use diesel::dsl::{AsSelect, Nullable, now};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{Array, Jsonb, Nullable as SqlNullable, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use service_kit::prepared;
use shared_events::OrderId;
use uuid::Uuid;

use super::loaded::Loaded;
use super::rows::{Found, OrderRow, OverdueAt, OverdueNotBefore, destination, json, read};
use crate::domain::{Destination, Order};
use crate::schema::{orders, redirections};

pub async fn find(mut conn: &AsyncPgConnection, id: OrderId) -> QueryResult<Option<Order>> {
    let query = orders::table.find(id.0).left_join(redirections::table).select(found());
    let found = query.first(&mut conn).await.optional()?;
    found.map(OrderRow::order).transpose()
}

/// Whose order it is, which never changes.
pub async fn customer_of(mut conn: &AsyncPgConnection, id: OrderId) -> QueryResult<Option<String>> {
    orders::table.find(id.0).select(orders::customer_id).first(&mut conn).await.optional()
}

/// The rows of these orders must be locked.
pub(super) async fn destinations(
    mut conn: &AsyncPgConnection,
    ids: &[Uuid],
) -> QueryResult<Vec<(OrderId, Destination)>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let columns =
        (orders::id, orders::placed, redirections::delivery_address.nullable(), redirections::asked.nullable());
    let rows: Vec<(Uuid, Value, Option<Value>, Option<Value>)> = orders::table
        .left_join(redirections::table)
        .filter(orders::id.eq_any(ids))
        .select(columns)
        .load(&mut conn)
        .await?;
    let goes = |(id, placed, redirected, asked)| Ok((OrderId(id), destination(&read(placed)?, redirected, asked)?));
    rows.into_iter().map(goes).collect()
}

/// Writes changed addresses and requested ones.
pub(super) async fn save_destinations(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let ids: Vec<_> = loaded.redirected.iter().map(|id| id.0).collect();
    let mut rows = SaveDestinations { ids: &ids, ..SaveDestinations::default() };
    if rows.ids.is_empty() {
        return Ok(());
    }
    for id in &loaded.redirected {
        let destination = loaded.orders.get(id).and_then(|root| root.destination.as_ref()).ok_or(Error::NotFound)?;
        rows.addresses.push(json(&destination.address)?);
        rows.asked.push(destination.asked.as_ref().map(json).transpose()?);
    }
    rows.execute(&mut conn).await.map(drop)
}

prepared! {
    #[derive(Default)]
    struct SaveDestinations<'a> {
        ids: &'a [Uuid] as Array<SqlUuid>,
        addresses: Vec<Value> as Array<Jsonb>,
        asked: Vec<Option<Value>> as Array<SqlNullable<Jsonb>>,
    };
    "insert into redirections (order_id, delivery_address, asked) select * from unnest(?, ?, ?) \
     on conflict (order_id) do update set delivery_address = excluded.delivery_address, asked = excluded.asked"
}

/// The columns of [`Found`].
fn found() -> (AsSelect<OrderRow, Pg>, Nullable<redirections::delivery_address>, Nullable<redirections::asked>) {
    (OrderRow::as_select(), redirections::delivery_address.nullable(), redirections::asked.nullable())
}

#[derive(Debug, Default)]
pub struct Filter {
    pub customer_id: Option<String>,
    /// By [`crate::domain::Status::name`].
    pub status: Option<String>,
    /// Those that wait longer than they should, or those that don't.
    pub overdue: Option<bool>,
    /// Those placed before this one.
    pub before: Option<OrderId>,
}

/// Orders, the newest first (ids are UUID v7, so their order is that of placing).
pub async fn list(conn: &mut AsyncPgConnection, filter: &Filter, limit: i64) -> QueryResult<Vec<Order>> {
    let mut query =
        orders::table.left_join(redirections::table).select(found()).order(orders::id.desc()).limit(limit).into_boxed();
    if let Some(customer_id) = &filter.customer_id {
        query = query.filter(orders::customer_id.eq(customer_id));
    }
    if let Some(status) = &filter.status {
        query = query.filter(orders::status.eq(status));
    }
    if let Some(overdue) = filter.overdue {
        // the first of the two is indexed
        let is_overdue = OverdueNotBefore.lt(now).and(OverdueAt.lt(now)).assume_not_null();
        query = if overdue {
            query.filter(is_overdue)
        } else {
            query.filter(OverdueAt.is_null().or(OverdueAt.ge(now).assume_not_null()))
        };
    }
    if let Some(before) = filter.before {
        query = query.filter(orders::id.lt(before.0));
    }
    query.load::<Found>(conn).await?.into_iter().map(OrderRow::order).collect()
}
