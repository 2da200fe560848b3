//! Orders as they are placed and looked at.

use diesel::dsl::{AsSelect, Nullable};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{Array, Jsonb, Nullable as SqlNullable, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use service_kit::prepared;
use shared_events::{CustomerId, OrderId};
use uuid::Uuid;

use super::loaded::{Loaded, told};
use super::rows::{Found, NewOrderRow, OrderRow, destination, json, read};
use super::{AnnounceError, Root, history};
use crate::domain::{LastSequences, Order};
use crate::schema::{orders, redirections};

/// Inserts a new order, which makes it the root of its key, and says `order.placed`.
pub async fn insert(conn: &mut AsyncPgConnection, order: &Order) -> Result<(), AnnounceError> {
    let mut root = Root {
        progress: order.progress.clone(),
        destination: None,
        last_sequences: LastSequences::default(),
        version: order.version,
        said: 0,
        recorded: 0,
        waiting_since: order.waiting_since,
        updated_at: order.updated_at,
        has_deadline: false,
    };
    let (history, rows) = told(&mut root, None, order.placed_at, &[order.placed.clone().into()], None)?;
    let placed = &order.placed;
    diesel::insert_into(orders::table)
        .values(NewOrderRow {
            id: placed.order_id.0,
            customer_id: placed.customer.id.as_str(),
            placed: json(placed)?,
            pieces: order.progress.pieces,
            placed_at: order.placed_at,
            facts: json(&order.progress.facts)?,
            stock_rank: 0,
            payment_rank: 0,
            shipment_rank: 0,
            status: order.progress.status.name(),
            version: root.version,
            said: root.said,
            updated_at: root.updated_at,
            recorded: root.recorded,
            waiting_since: root.waiting_since,
        })
        .execute(conn)
        .await?;
    history::append(conn, order.placed_at, &history).await?;
    Ok(outbox_relay::append_all(conn, rows).await?)
}

/// The order of that id.
pub async fn find(conn: &mut AsyncPgConnection, id: OrderId) -> QueryResult<Option<Order>> {
    let found = orders::table.find(id.0).left_join(redirections::table).select(found()).first(conn).await.optional()?;
    found.map(OrderRow::order).transpose()
}

/// Loads where these orders go, whose rows are locked.
pub(super) async fn load_destinations(
    mut conn: &AsyncPgConnection,
    loaded: &mut Loaded,
    ids: &[Uuid],
) -> QueryResult<()> {
    let columns =
        (orders::id, orders::placed, redirections::delivery_address.nullable(), redirections::asked.nullable());
    let rows: Vec<(Uuid, Value, Option<Value>, Option<Value>)> = orders::table
        .left_join(redirections::table)
        .filter(orders::id.eq_any(ids))
        .select(columns)
        .load(&mut conn)
        .await?;
    for (id, placed, redirected, asked) in rows {
        if let Some(root) = loaded.orders.get_mut(&OrderId(id)) {
            root.destination = Some(destination(&read(placed)?, redirected, asked)?);
        }
    }
    Ok(())
}

/// Writes where orders go that are sent elsewhere, and where they were asked to go.
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

/// Which orders a list shows.
#[derive(Debug, Default)]
pub struct Filter {
    /// Those of one customer.
    pub customer_id: Option<CustomerId>,
    /// Those that stand there, by [`crate::domain::Status::name`].
    pub status: Option<String>,
    /// Those placed before this one.
    pub before: Option<OrderId>,
}

/// Orders, the newest first (ids are UUID v7, so their order is that of placing).
pub async fn list(conn: &mut AsyncPgConnection, filter: &Filter, limit: i64) -> QueryResult<Vec<Order>> {
    let mut query =
        orders::table.left_join(redirections::table).select(found()).order(orders::id.desc()).limit(limit).into_boxed();
    if let Some(customer_id) = &filter.customer_id {
        query = query.filter(orders::customer_id.eq(customer_id.as_str()));
    }
    if let Some(status) = &filter.status {
        query = query.filter(orders::status.eq(status));
    }
    if let Some(before) = filter.before {
        query = query.filter(orders::id.lt(before.0));
    }
    query.load::<Found>(conn).await?.into_iter().map(OrderRow::order).collect()
}
