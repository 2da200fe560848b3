//! The root of an order's key: locked first by whoever speaks for the order, and counting what was said.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use outbox_relay::NewRow;
use service_kit::consumer::Envelope;
use service_kit::trace;
use shared_events::{Counts, Event, EventId, Message, OrderId, Said, Topic, speak};
use uuid::Uuid;

use super::AnnounceError;
use super::history::Append;
use super::rows::RootRow;
use super::save::Save;
use crate::SOURCE;
use crate::domain::{Progress, Ranks, Status, WaitingFor};
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
    /// Counts rows of its history.
    pub recorded: i64,
    /// Since when it waits for what it waited for when it was locked.
    pub waiting_since: DateTime<Utc>,
    /// The time of this transaction, as [`super::now`] tells it.
    pub now: DateTime<Utc>,
    /// Where it stood when it was locked; none for a new order.
    pub(super) status_before: Option<Status>,
    /// What it waited for when it was locked.
    pub(super) awaited: Option<WaitingFor>,
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
            let progress = row.progress()?;
            Ok(Root {
                status_before: Some(progress.status),
                awaited: progress.waiting_for(),
                progress,
                ranks: Ranks { stock: row.stock_rank, payment: row.payment_rank, shipment: row.shipment_rank },
                version: row.version,
                said: row.said,
                recorded: row.recorded,
                waiting_since: row.waiting_since,
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

/// Saves what changed, notes it in the order's history and says what follows from it, in the caller's transaction.
///
/// # Errors
/// The database's, and an event that can't be said.
pub async fn announce(
    conn: &mut AsyncPgConnection,
    root: &mut Root,
    events: &[Event],
    heard: Option<&Envelope>,
) -> Result<(), AnnounceError> {
    let (history, rows) = told(root, events, heard)?;
    root.version += 1;
    let awaits = root.progress.waiting_for();
    if awaits != root.awaited {
        root.waiting_since = root.now;
    }
    Save::new(root, history)?.execute(conn).await?;
    (root.status_before, root.awaited) = (Some(root.progress.status), awaits);
    Ok(outbox_relay::append_all(conn, rows).await?)
}

/// Notes in the order's history that an event was heard and changed nothing, and why.
///
/// # Errors
/// The database's.
pub async fn note_ignored(
    conn: &mut AsyncPgConnection,
    root: &mut Root,
    heard: &Envelope,
    why: String,
) -> QueryResult<()> {
    let history = Append::to(root).ignored(root, heard, why);
    let row = orders::table.find(root.progress.order_id.0);
    diesel::update(row).set(orders::recorded.eq(root.recorded)).execute(conn).await?;
    history.execute(conn).await.map(drop)
}

/// What is heard and said, as rows of the history; and what is said, numbered and dressed for the outbox.
pub(super) fn told(
    root: &mut Root,
    events: &[Event],
    heard: Option<&Envelope>,
) -> serde_json::Result<(Append, Vec<NewRow>)> {
    let because_of = heard.map(|envelope| EventId(envelope.id));
    let said = Said { source: SOURCE, at: root.now, because_of, traceparent: trace::current_traceparent() };
    let messages = speak(root, &said, events)?;
    let mut history = Append::to(root);
    if let Some(envelope) = heard {
        history = history.heard(root, envelope);
    }
    for (event, message) in events.iter().zip(&messages) {
        history = history.said(root, event, message.event_id, because_of);
    }
    Ok((history, messages.into_iter().map(outbox_row).collect()))
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
