//! All SQL of notification-svc. Functions take a connection that is in a transaction where they lock.

mod erased;
mod keys;
mod loaded;
pub mod notifications;
mod profiles;
mod roots;

use diesel::QueryResult;
use diesel::result::Error;
use diesel_async::AsyncPgConnection;
use outbox_relay::AppendError;
use service_kit::pool;
use shared_events::OrderId;

pub use self::keys::Keys;
pub use self::loaded::Loaded;
use self::notifications::Lock;

/// Locks and reads what decisions about these orders need: their roots with their customers' profiles, which are created
/// for unknown orders, their notifications, and where letters need them the names of their lines; and the profiles of
/// customers who are heard of. It takes at most five statements, whatever the number of orders. Roots are locked sorted, so
/// transactions can't deadlock.
pub async fn load(conn: &mut AsyncPgConnection, keys: Keys<'_>) -> QueryResult<Loaded> {
    let (mut loaded, known) = roots::lock_or_make(conn, &keys).await?;
    let named = known.iter().copied().filter(|id| keys.names_lines(*id)).collect();
    let customers = keys.customers();
    // awaited in the order in which they are sent: what comes after a failed one knows only that the transaction is
    // aborted
    let (found, names, profiles) = tokio::join!(
        notifications::of_orders(conn, &known, Lock::None),
        roots::line_names(conn, named),
        profiles::of(conn, &customers),
    );
    loaded.add_notifications(found?);
    loaded.add_line_names(names?);
    loaded.profiles.extend(profiles?);
    Ok(loaded)
}

/// Locks and reads what recording tries needs: the roots of these orders and their notifications, which no other worker
/// takes meanwhile. It takes two statements, whatever the number of orders.
pub async fn load_for_delivery(
    conn: &mut AsyncPgConnection,
    orders: impl IntoIterator<Item = OrderId>,
) -> QueryResult<Loaded> {
    let mut ids: Vec<_> = orders.into_iter().map(|id| id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut loaded = roots::lock(conn, &ids, &vec![None; ids.len()]).await?;
    loaded.add_notifications(notifications::of_orders(conn, &ids, Lock::Rows).await?);
    Ok(loaded)
}

/// Writes what was decided, pipelined: one statement a table, and one for all announcements in order of decision. What
/// names a person who is forgotten is deleted behind all that is written. Fails if the database does, or if an event is too
/// large, which none here can be.
pub async fn save(conn: &mut AsyncPgConnection, mut loaded: Loaded) -> Result<(), AppendError> {
    let announcements = std::mem::take(&mut loaded.announcements);
    let (conn, loaded) = (&*conn, &loaded);
    let (roots, names, new, changed, profiles, erased, announced) = tokio::join!(
        roots::save(conn, loaded),
        roots::save_line_names(conn, loaded),
        notifications::insert(conn, loaded),
        notifications::update(conn, loaded),
        profiles::save(conn, loaded),
        erased::erase(conn, loaded),
        outbox_relay::append_all(conn, announcements),
    );
    let tables = [roots, names, new, changed, profiles, erased];
    pool::first_cause(tables.map(|saved| saved.map_err(AppendError::from)).into_iter().chain([announced]))
}

fn unreadable(what: impl Into<String>) -> Error {
    Error::DeserializationError(what.into().into())
}
