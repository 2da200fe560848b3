//! All SQL of the service. Functions take a connection that is in a transaction where they lock.

pub mod calls;
pub mod ledger;
mod loaded;
pub mod look_ups;
pub mod payments;
pub mod refunds;
pub mod webhooks;

use diesel::QueryResult;
use diesel::result::Error;
use diesel_async::AsyncPgConnection;
use outbox_relay::AppendError;
use service_kit::{pool, timers};
use shared_events::OrderId;

pub use loaded::{Causation, Loaded};

/// The timer that asks the gateway again after a decline that may pass; its key is the order's id.
pub const RETRY: &str = "payment_retry";

/// Locks and reads what decisions about these orders need: their payments, which are created for unknown orders, with
/// charges, refunds and unfinished calls. It takes two pipelined statements, whatever the number of orders. Payments
/// are locked sorted, so transactions can't deadlock.
pub async fn load(conn: &AsyncPgConnection, orders: impl IntoIterator<Item = OrderId>) -> QueryResult<Loaded> {
    let mut orders: Vec<_> = orders.into_iter().map(|order| order.0).collect();
    orders.sort_unstable();
    orders.dedup();
    let (locked, read) = tokio::join!(biased; payments::lock(conn, &orders), payments::roots(conn, &orders));
    locked?;
    let (roots, now) = read?;
    Ok(Loaded::new(now, roots))
}

/// Writes what was decided, pipelined: one statement a table, and one for all announcements in order of decision. A
/// call needs the row of its refund; nothing else depends on another. Fails if the database does, or if an event is too
/// large, which none here can be.
pub async fn save(conn: &mut AsyncPgConnection, mut loaded: Loaded) -> Result<(), AppendError> {
    let announcements = std::mem::take(&mut loaded.announcements);
    let (conn, loaded) = (&*conn, &loaded);
    let (payments, charges, refunds_and_calls, entries, look_ups, retries, texts, announced) = tokio::join!(
        biased;
        payments::save(conn, loaded),
        payments::save_charges(conn, loaded),
        async {
            refunds::save(conn, loaded).await?;
            calls::save(conn, &loaded.calls).await
        },
        ledger::enter(conn, &loaded.entries),
        look_ups::begin(conn, &loaded.look_ups),
        save_retries(conn, loaded),
        refunds::forget_texts(conn, &loaded.forgotten),
        outbox_relay::append_all(conn, announcements),
    );
    let tables = [payments, charges, refunds_and_calls, entries, look_ups, retries, texts];
    pool::first_cause(tables.map(|saved| saved.map_err(AppendError::from)).into_iter().chain([announced]))
}

async fn save_retries(conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    if loaded.retries.is_empty() {
        return Ok(());
    }
    let retries: Vec<_> = loaded.retries.iter().map(|(key, due_at)| (key.as_str(), *due_at)).collect();
    timers::set_all(conn, RETRY, &retries).await
}

/// A row that no version of this service writes.
fn unreadable(what: impl Into<String>) -> Error {
    Error::DeserializationError(what.into().into())
}
