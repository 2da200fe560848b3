//! The root of an order's key: locked first by whoever speaks for the order, and counting what was said.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use outbox_relay::NewRow;
use service_kit::trace;
use shared_events::{Counts, Event, EventId, Message, OrderId, Said, Topic, speak};
use uuid::Uuid;

use super::AnnounceError;
use super::rows::RootRow;
use super::save::Save;
use crate::SOURCE;
use crate::domain::{Progress, Ranks};
use crate::schema::orders;

/// An order's row, locked until the transaction ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Root {
    /// How far the order is.
    pub progress: Progress,
    /// The `ce_sequence` of the last fact heard on each topic.
    pub ranks: Ranks,
    /// Counts changes.
    pub version: i64,
    /// Counts what was said on `orders.v1`.
    pub said: i64,
    /// The time of this transaction, as [`super::now`] tells it.
    pub now: DateTime<Utc>,
}

impl Counts for Root {
    /// An order speaks on `orders.v1` alone.
    fn next_sequence(&mut self, _: Topic) -> i64 {
        self.said += 1;
        self.said
    }
}

/// Locks the order's row; nothing when there is no such order.
///
/// # Errors
/// The database's.
pub async fn lock(conn: &mut AsyncPgConnection, id: OrderId) -> QueryResult<Option<Root>> {
    let columns = (RootRow::as_select(), diesel::dsl::now.into_sql::<Timestamptz>());
    let found = orders::table.find(id.0).select(columns).for_update().first(conn).await.optional()?;
    found
        .map(|(row, now): (RootRow, DateTime<Utc>)| {
            Ok(Root {
                progress: row.progress()?,
                ranks: Ranks { stock: row.stock_rank, payment: row.payment_rank, shipment: row.shipment_rank },
                version: row.version,
                said: row.said,
                now,
            })
        })
        .transpose()
}

/// Locks the rows of many orders, always in the same order, so that two lanes never wait for each other.
///
/// # Errors
/// The database's.
pub async fn lock_all(conn: &mut AsyncPgConnection, ids: &[Uuid]) -> QueryResult<()> {
    let query = orders::table.filter(orders::id.eq_any(ids)).order(orders::id).select(orders::id).for_update();
    query.load::<Uuid>(conn).await.map(drop)
}

/// Saves what changed and says what follows from it, in the caller's transaction.
///
/// # Errors
/// The database's, and an event that can't be said.
pub async fn announce(
    conn: &mut AsyncPgConnection,
    root: &mut Root,
    events: &[Event],
    because_of: Option<EventId>,
) -> Result<(), AnnounceError> {
    let rows = outbox_rows(root, events, because_of)?;
    root.version += 1;
    Save::new(root)?.execute(conn).await?;
    Ok(outbox_relay::append_all(conn, rows).await?)
}

/// Numbers and dresses events for the outbox.
pub(super) fn outbox_rows(
    root: &mut Root,
    events: &[Event],
    because_of: Option<EventId>,
) -> serde_json::Result<Vec<NewRow>> {
    let said = Said { source: SOURCE, at: root.now, because_of, traceparent: trace::current_traceparent() };
    Ok(speak(root, &said, events)?.into_iter().map(outbox_row).collect())
}

fn outbox_row(message: Message) -> NewRow {
    NewRow {
        event_id: message.event_id.0,
        topic: message.topic.name().to_owned(),
        key: message.key,
        headers: message.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        payload: message.value,
    }
}
