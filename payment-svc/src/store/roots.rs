//! Roots: a payment's row is what orders everything said about its order on `payments.v1`.

use chrono::Utc;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use outbox_relay::NewRow;
use service_kit::consumer::ReactionError;
use shared_events::{Event, EventId, EventMetadata, OrderId, PaymentId, SequenceCounter, Topic, encode};

use super::payments::{self, Row};
use crate::{SOURCE, domain::Payment, schema::payments as table};

/// A locked payment, and how much it has said.
#[derive(Clone, Debug)]
pub struct Root {
    /// The payment.
    pub payment: Payment,
    said: i64,
}

impl SequenceCounter for Root {
    fn next_sequence(&mut self, _payments_is_the_only_topic: Topic) -> i64 {
        self.said += 1;
        self.said
    }
}

/// Who asked for a change, and in which trace.
#[derive(Clone, Debug, Default)]
pub struct Cause {
    /// The event reacted to.
    pub event: Option<EventId>,
    /// The W3C trace context.
    pub traceparent: Option<String>,
}

/// Makes what is missing of these orders' roots and locks all of them, in one order for every lane.
pub async fn lock_all(conn: &mut AsyncPgConnection, mut orders: Vec<OrderId>) -> QueryResult<()> {
    orders.sort_unstable();
    orders.dedup();
    if orders.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = orders.iter().map(|order| order.0).collect();
    let rows: Vec<_> = orders.into_iter().map(new_row).collect();
    diesel::insert_into(table::table).values(rows).on_conflict_do_nothing().execute(conn).await?;
    let locked = table::table.filter(table::order_id.eq_any(ids)).order(table::order_id).select(table::order_id);
    locked.for_update().load::<uuid::Uuid>(conn).await.map(drop)
}

type NewRootRow = (
    diesel::dsl::Eq<table::order_id, uuid::Uuid>,
    diesel::dsl::Eq<table::payment_id, uuid::Uuid>,
    diesel::dsl::Eq<table::state, &'static str>,
);

fn new_row(order: OrderId) -> NewRootRow {
    let payment = Payment::new(PaymentId::new(), order);
    (table::order_id.eq(order.0), table::payment_id.eq(payment.id.0), table::state.eq(payment.state.as_str()))
}

/// Locks the order's root, and makes it first if the order was never heard of: a select for update on a row that isn't
/// there would lock nothing.
pub async fn lock_or_create(conn: &mut AsyncPgConnection, order: OrderId) -> Result<Root, ReactionError> {
    let found = lock(conn, order).await?;
    let row = match found {
        Some(row) => row,
        None => {
            diesel::insert_into(table::table).values(new_row(order)).on_conflict_do_nothing().execute(conn).await?;
            let made = lock(conn, order).await?;
            made.ok_or_else(|| ReactionError::Transient(anyhow::anyhow!("the root of order {order} went away")))?
        }
    };
    let said = row.said;
    Ok(Root { payment: row.into_payment(conn).await?, said })
}

async fn lock(conn: &mut AsyncPgConnection, order: OrderId) -> QueryResult<Option<Row>> {
    table::table.find(order.0).select(Row::as_select()).for_update().first(conn).await.optional()
}

/// Numbers the events, appends them to the outbox and saves the root with its count.
///
/// # Errors
/// The database, or an event that is too large for its topic.
pub async fn announce(
    conn: &mut AsyncPgConnection,
    root: &mut Root,
    events: Vec<Event>,
    cause: &Cause,
) -> Result<(), ReactionError> {
    let traceparent = cause.traceparent.clone();
    let said = EventMetadata { source: SOURCE, at: Utc::now(), because_of: cause.event, traceparent };
    let messages = encode(root, &said, &events).map_err(ReactionError::permanent)?;
    let rows = messages.into_iter().map(|message| NewRow {
        event_id: message.event_id.0,
        topic: message.topic.name().to_owned(),
        key: message.key,
        headers: message.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        payload: message.value,
    });
    outbox_relay::append_all(conn, rows.collect()).await?;
    payments::save(conn, &root.payment, root.said).await
}
