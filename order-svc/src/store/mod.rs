//! All SQL of the service but for what the kit and the outbox bring along.

pub mod customers;
mod error;
pub mod forgetting;
pub mod history;
mod loaded;
pub mod orders;
pub mod overdue;
pub mod placement;
pub mod products;
pub mod roots;
mod rows;
pub mod stored_responses;

pub use error::AnnounceError;
pub use loaded::Loaded;
pub use roots::Root;

use diesel::prelude::*;
use diesel_async::AsyncPgConnection;
use futures_util::future::{join, join3};
use service_kit::pool;
use service_kit::transaction::Transaction;
use shared_events::{OrderId, Sku};

use crate::metrics;

#[derive(Clone, Debug, Default)]
pub struct BatchKeys {
    /// Orders to lock. Those that don't exist are left out.
    pub orders: Vec<OrderId>,
    /// Of these orders the destination is read.
    pub destinations: Vec<OrderId>,
    /// Of these products the known sequence is read.
    pub products: Vec<Sku>,
}

/// Locks and reads what decisions need, in at most three pipelined statements. They are executed in this order, so what
/// hangs on an order is read after it is locked.
pub async fn load(conn: &AsyncPgConnection, wanted: BatchKeys) -> QueryResult<Loaded> {
    let orders: Vec<_> = wanted.orders.iter().map(|id| id.0).collect();
    let destinations: Vec<_> = wanted.destinations.iter().map(|id| id.0).collect();
    let skus: Vec<_> = wanted.products.iter().map(Sku::as_str).collect();
    let (locked, destinations, sequences) =
        join3(roots::lock(conn, &orders), orders::destinations(conn, &destinations), products::sequences(conn, &skus))
            .await;
    let mut loaded = locked?;
    for (id, destination) in destinations? {
        if let Some(root) = loaded.orders.get_mut(&id) {
            root.destination = Some(destination);
        }
    }
    loaded.sequences = sequences?;
    Ok(loaded)
}

/// Locks one order, if there is one, and reads where it goes.
pub async fn load_order(conn: &AsyncPgConnection, id: OrderId) -> QueryResult<Loaded> {
    load(conn, BatchKeys { orders: vec![id], destinations: vec![id], products: vec![] }).await
}

/// Begins a transaction with [`load_order`], in one round trip.
pub async fn begin_with_order(transaction: &Transaction<'_>, id: OrderId) -> QueryResult<Loaded> {
    let (begun, loaded) = join(transaction.begin(), load_order(transaction.conn(), id)).await;
    begun.and(loaded)
}

/// Writes what was decided, pipelined: one statement a table, and one for all announcements in order of decision.
pub async fn save(conn: &AsyncPgConnection, mut loaded: Loaded) -> Result<(), AnnounceError> {
    let announcements = std::mem::take(&mut loaded.announcements);
    let loaded = &loaded;
    let (roots, timers, destinations, forgotten, history, products, announced) = tokio::join!(
        biased;
        roots::save(conn, loaded),
        roots::save_timers(conn, loaded),
        orders::save_destinations(conn, loaded),
        forgetting::save(conn, loaded),
        history::append(conn, loaded.now, &loaded.history),
        products::save(conn, loaded),
        outbox_relay::append_all(conn, announcements),
    );
    let saved = pool::first_cause([
        roots.map_err(AnnounceError::from),
        timers.map_err(AnnounceError::from),
        destinations.map_err(AnnounceError::from),
        forgotten.map_err(AnnounceError::from),
        history.map_err(AnnounceError::from),
        products.map_err(AnnounceError::from),
        announced.map_err(AnnounceError::from),
    ]);
    if saved.is_ok() {
        metrics::note(&loaded.moved);
    }
    saved
}

/// The timer that cancels an order which stays pending; its key is the order's id.
pub const DEADLINE_TIMER: &str = "order_deadline";
