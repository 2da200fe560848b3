//! The root row of an order. Its lock puts what is written and said for the order into one line.

use std::collections::BTreeMap;

use chrono::Utc;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use outbox_relay::NewRow;
use service_kit::consumer::ReactionError;
use shared_events::{Customer, Event, EventId, EventMetadata, OrderId, OrderLine, SequenceCounter, Topic, encode};
use uuid::Uuid;

use crate::SOURCE;
use crate::schema::{line_names, orders};

/// An order as this service knows it, locked until the transaction ends.
#[derive(Queryable, Selectable)]
#[diesel(table_name = orders, check_for_backend(diesel::pg::Pg))]
pub struct Root {
    order_id: Uuid,
    customer_name: Option<String>,
    customer_email: Option<String>,
    notifications_said: i64,
}

impl Root {
    /// The order.
    pub const fn order_id(&self) -> OrderId {
        OrderId(self.order_id)
    }

    /// Name and address of the customer, once `order.placed` was heard.
    pub fn contact(&self) -> Option<(&str, &str)> {
        self.customer_name.as_deref().zip(self.customer_email.as_deref())
    }
}

/// This service speaks on one topic alone, so the root has one counter.
impl SequenceCounter for Root {
    fn next_sequence(&mut self, _: Topic) -> i64 {
        self.notifications_said += 1;
        self.notifications_said
    }
}

/// Locks the root of `order`, which is made if this is the first that is heard of it.
pub async fn lock_or_create(conn: &mut AsyncPgConnection, order: OrderId) -> QueryResult<Root> {
    let root = orders::table.find(order.0).select(Root::as_select()).for_update();
    if let Some(root) = root.first(conn).await.optional()? {
        return Ok(root);
    }
    diesel::insert_into(orders::table)
        .values(orders::order_id.eq(order.0))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    root.first(conn).await
}

/// Locks the roots of a whole batch, in sorted order, so that two batches can't wait for each other.
pub async fn lock_all(conn: &mut AsyncPgConnection, orders: impl IntoIterator<Item = OrderId>) -> QueryResult<()> {
    let mut ids: Vec<Uuid> = orders.into_iter().map(|order| order.0).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = ids.iter().map(|id| orders::order_id.eq(id)).collect();
    diesel::insert_into(orders::table).values(rows).on_conflict_do_nothing().execute(conn).await?;
    let locked = orders::table.filter(orders::order_id.eq_any(&ids)).order(orders::order_id).select(orders::order_id);
    locked.for_update().load::<Uuid>(conn).await.map(drop)
}

/// Keeps whom to write to. The first that was heard stays.
pub async fn keep_contact(conn: &mut AsyncPgConnection, root: &mut Root, customer: &Customer) -> QueryResult<()> {
    if root.contact().is_none() {
        root.customer_name = Some(customer.name.to_string());
        root.customer_email = Some(customer.email.as_str().to_owned());
        diesel::update(orders::table.find(root.order_id))
            .set((orders::customer_name.eq(&root.customer_name), orders::customer_email.eq(&root.customer_email)))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Keeps what the lines are called. The first that was heard stays.
///
/// # Errors
/// The database's, or names that are no JSON, which none are.
pub async fn keep_line_names(
    conn: &mut AsyncPgConnection,
    root: &Root,
    lines: &[OrderLine],
) -> Result<(), ReactionError> {
    let names: BTreeMap<&str, &str> = lines.iter().map(|line| (line.sku.as_str(), line.name.as_str())).collect();
    let row = (
        line_names::order_id.eq(root.order_id),
        line_names::names.eq(serde_json::to_value(names).map_err(ReactionError::permanent)?),
    );
    diesel::insert_into(line_names::table).values(row).on_conflict_do_nothing().execute(conn).await?;
    Ok(())
}

/// What the order's lines are called, by SKU; nothing before `order.placed` was heard.
///
/// # Errors
/// The database's, or a row that can't be read.
pub async fn line_names(
    conn: &mut AsyncPgConnection,
    order: OrderId,
) -> Result<BTreeMap<String, String>, ReactionError> {
    let row = line_names::table.find(order.0).select(line_names::names);
    let names: Option<serde_json::Value> = row.first(conn).await.optional()?;
    let names = names.map(serde_json::from_value).transpose().map_err(ReactionError::permanent)?;
    Ok(names.unwrap_or_default())
}

/// Keeps whether the order is to end or has ended.
pub async fn note_ending(conn: &mut AsyncPgConnection, root: &Root, ending: bool) -> QueryResult<()> {
    diesel::update(orders::table.find(root.order_id)).set(orders::ending.eq(ending)).execute(conn).await.map(drop)
}

/// Appends `events` to the outbox, numbered by the root that the caller has locked, and keeps the root's counter.
///
/// # Errors
/// The database's, or an event too large for its topic, which none here is.
pub async fn announce(
    conn: &mut AsyncPgConnection,
    root: &mut Root,
    events: Vec<Event>,
    because_of: Option<EventId>,
) -> anyhow::Result<()> {
    let traceparent = service_kit::trace::current_traceparent();
    let said = EventMetadata { source: SOURCE, at: Utc::now(), because_of, traceparent };
    let rows = encode(root, &said, &events)?.into_iter().map(|message| NewRow {
        event_id: message.event_id.0,
        topic: message.topic.name().to_owned(),
        key: message.key,
        headers: message.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        payload: message.value,
    });
    outbox_relay::append_all(conn, rows.collect()).await?;
    diesel::update(orders::table.find(root.order_id))
        .set(orders::notifications_said.eq(root.notifications_said))
        .execute(conn)
        .await?;
    Ok(())
}
