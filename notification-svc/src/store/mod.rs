//! All SQL of notification-svc. Functions take a connection that is in a transaction where they lock.

mod loaded;
pub mod notifications;
mod roots;

use std::collections::BTreeSet;

use diesel::QueryResult;
use diesel::result::Error;
use diesel_async::AsyncPgConnection;
use outbox_relay::AppendError;
use service_kit::pool;
use shared_events::OrderId;

pub use self::loaded::Loaded;
use self::notifications::Lock;

/// Locks and reads what decisions about these orders need: their roots, which are made where this is the first that is heard
/// of them, and their notifications; of those in `named` also what the lines are called. At most four statements, however
/// many orders. Roots are locked sorted, so whoever loads waits for others in one order.
pub async fn load(
    conn: &mut AsyncPgConnection,
    orders: impl IntoIterator<Item = OrderId>,
    named: impl IntoIterator<Item = OrderId>,
) -> QueryResult<Loaded> {
    let (mut loaded, known) = roots::lock_or_make(conn, orders.into_iter().map(|id| id.0).collect()).await?;
    let named: BTreeSet<_> = named.into_iter().map(|id| id.0).filter(|id| known.contains(id)).collect();
    // Looked at in the order in which they are sent: what is behind one that failed knows only that the transaction is aborted.
    let (found, names) = tokio::join!(
        notifications::of_orders(conn, &known, Lock::None),
        roots::line_names(conn, named.into_iter().collect()),
    );
    loaded.add_notifications(found?);
    loaded.add_line_names(names?);
    Ok(loaded)
}

/// Locks and reads what decisions about tries to send need: the roots of these orders and their notifications, which no other
/// worker takes meanwhile. Two statements, however many orders.
pub async fn load_for_delivery(
    conn: &mut AsyncPgConnection,
    orders: impl IntoIterator<Item = OrderId>,
) -> QueryResult<Loaded> {
    let mut ids: Vec<_> = orders.into_iter().map(|id| id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut loaded = roots::lock(conn, &ids).await?;
    loaded.add_notifications(notifications::of_orders(conn, &ids, Lock::Rows).await?);
    Ok(loaded)
}

/// Writes what was decided: one statement a table, and one for all that is announced, in the order of decision. None needs
/// the answer of another.
///
/// # Errors
/// The database refuses; an event is too large, which none here can be.
pub async fn save(conn: &mut AsyncPgConnection, mut loaded: Loaded) -> Result<(), AppendError> {
    let announcements = std::mem::take(&mut loaded.announcements);
    let (conn, loaded) = (&*conn, &loaded);
    let (roots, names, new, changed, announced) = tokio::join!(
        roots::save(conn, loaded),
        roots::save_line_names(conn, loaded),
        notifications::insert(conn, loaded),
        notifications::update(conn, loaded),
        outbox_relay::append_all(conn, announcements),
    );
    let tables = [roots, names, new, changed];
    pool::first_cause(tables.map(|saved| saved.map_err(AppendError::from)).into_iter().chain([announced]))
}

/// A row that no version of this service writes.
fn unreadable(what: impl Into<String>) -> Error {
    Error::DeserializationError(what.into().into())
}
