//! Orders as they are placed and looked at.

use diesel::dsl::{AsSelect, Nullable};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use shared_events::{CustomerId, OrderId};

use super::rows::{Found, NewOrderRow, OrderRow, json};
use super::{AnnounceError, Root, roots};
use crate::domain::{Destination, Order, Ranks};
use crate::schema::{orders, redirections};

/// Inserts a new order, which makes it the root of its key, and says `order.placed`.
///
/// # Errors
/// The database's, and an event that can't be said.
pub async fn insert(conn: &mut AsyncPgConnection, order: &Order) -> Result<(), AnnounceError> {
    let mut root = Root {
        progress: order.progress.clone(),
        ranks: Ranks::default(),
        version: order.version,
        said: 0,
        recorded: 0,
        waiting_since: order.waiting_since,
        now: order.placed_at,
        status_before: None,
        awaited: None,
    };
    let events = [order.placed.clone().into()];
    let (history, rows) = roots::told(&mut root, &events, None)?;
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
            updated_at: order.updated_at,
            recorded: root.recorded,
            waiting_since: root.waiting_since,
        })
        .execute(conn)
        .await?;
    history.execute(conn).await?;
    Ok(outbox_relay::append_all(conn, rows).await?)
}

/// The order of that id.
///
/// # Errors
/// The database's.
pub async fn find(conn: &mut AsyncPgConnection, id: OrderId) -> QueryResult<Option<Order>> {
    let found = orders::table.find(id.0).left_join(redirections::table).select(found()).first(conn).await.optional()?;
    found.map(OrderRow::order).transpose()
}

/// Saves where the order goes now, and where it was asked to go; the rest of the change is [`roots::announce`]'s.
///
/// # Errors
/// The database's.
pub async fn send_to(conn: &mut AsyncPgConnection, id: OrderId, destination: &Destination) -> QueryResult<()> {
    let asked = destination.asked.as_ref().map(json).transpose()?;
    let address = (redirections::delivery_address.eq(json(&destination.address)?), redirections::asked.eq(asked));
    diesel::insert_into(redirections::table)
        .values((redirections::order_id.eq(id.0), address.clone()))
        .on_conflict(redirections::order_id)
        .do_update()
        .set(address)
        .execute(conn)
        .await
        .map(drop)
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
///
/// # Errors
/// The database's.
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
