//! All SQL of the service but for what the kit and the outbox bring along.

mod error;
pub mod history;
mod loaded;
pub mod orders;
pub mod products;
pub mod roots;
mod rows;
pub mod stored_responses;

pub use error::AnnounceError;
pub use loaded::Loaded;
pub use roots::Root;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::pool;
use shared_events::{OrderId, Sku};

/// What is to be loaded.
#[derive(Clone, Debug, Default)]
pub struct BatchKeys {
    /// These orders are locked, as far as there are any.
    pub orders: Vec<OrderId>,
    /// Of these of them it is read where they go.
    pub destinations: Vec<OrderId>,
    /// What is known of these products.
    pub products: Vec<Sku>,
}

/// Locks and reads what decisions need: at most three statements, however much is wanted.
pub async fn load(conn: &mut AsyncPgConnection, wanted: BatchKeys) -> QueryResult<Loaded> {
    let mut loaded = match wanted.orders.is_empty() {
        true => Loaded::new(DateTime::default(), BTreeMap::new()),
        false => roots::lock(conn, &wanted.orders.iter().map(|id| id.0).collect::<Vec<_>>()).await?,
    };
    if !wanted.destinations.is_empty() {
        let ids: Vec<_> = wanted.destinations.iter().map(|id| id.0).collect();
        orders::load_destinations(conn, &mut loaded, &ids).await?;
    }
    if !wanted.products.is_empty() {
        let skus: Vec<_> = wanted.products.iter().map(Sku::as_str).collect();
        products::load_sequences(conn, &mut loaded, &skus).await?;
    }
    Ok(loaded)
}

/// Locks one order, if there is one, and reads where it goes.
pub async fn load_order(conn: &mut AsyncPgConnection, id: OrderId) -> QueryResult<Loaded> {
    load(conn, BatchKeys { orders: vec![id], destinations: vec![id], products: vec![] }).await
}

/// Writes what was decided: one statement a table, and one for all that is announced, in the order of decision. None needs
/// the answer of another.
pub async fn save(conn: &mut AsyncPgConnection, mut loaded: Loaded) -> Result<(), AnnounceError> {
    let announcements = std::mem::take(&mut loaded.announcements);
    let (conn, loaded) = (&*conn, &loaded);
    let (roots, timers, destinations, history, products, announced) = tokio::join!(
        roots::save(conn, loaded),
        roots::save_timers(conn, loaded),
        orders::save_destinations(conn, loaded),
        history::append(conn, loaded.now, &loaded.history),
        products::save(conn, loaded),
        outbox_relay::append_all(conn, announcements),
    );
    pool::first_cause([
        roots.map_err(AnnounceError::from),
        timers.map_err(AnnounceError::from),
        destinations.map_err(AnnounceError::from),
        history.map_err(AnnounceError::from),
        products.map_err(AnnounceError::from),
        announced.map_err(AnnounceError::from),
    ])
}

/// The time of this transaction by the database's clock. Timers go by it too, so a host whose clock is wrong times
/// nothing out.
pub async fn now(conn: &mut AsyncPgConnection) -> QueryResult<DateTime<Utc>> {
    diesel::select(diesel::dsl::now.into_sql::<Timestamptz>()).get_result(conn).await
}
