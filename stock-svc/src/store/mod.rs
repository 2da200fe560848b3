//! All SQL of stock-svc. Functions that lock expect a connection that is in a transaction.

pub mod books;
pub mod categories;
pub mod levels;
mod loaded;
pub mod movements;
pub mod products;
pub mod reservations;
pub mod roots;
pub mod shipments;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel::result::Error;
use diesel::sql_types::Timestamptz;
use diesel::{IntoSql, QueryResult};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use outbox_relay::AppendError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use service_kit::{idempotency, pool};
use shared_events::{OrderId, Sku};

pub use self::loaded::Loaded;
use self::products::Which;
use crate::domain::State;

/// Locks and reads what decisions about these orders need: their roots, which are created for unknown orders, their
/// shipments, and the levels of `skus` and of everything that the orders may still move. It takes at most six
/// statements, whatever the number of orders. All transactions lock in one order, so they can't deadlock: first
/// roots, then levels, then products, each sorted.
pub async fn load(
    conn: &mut AsyncPgConnection,
    orders: impl IntoIterator<Item = OrderId>,
    skus: impl IntoIterator<Item = Sku>,
) -> QueryResult<Loaded> {
    let mut loaded = roots::lock(conn, orders.into_iter().map(|id| id.0).collect()).await?;
    let mut skus: BTreeSet<Sku> = skus.into_iter().collect();
    let mut firm = Vec::new();
    for root in loaded.orders.values() {
        let Some(reservation) = &root.allocation.reservation else { continue };
        if reservation.state.may_move_stock() {
            skus.extend(reservation.lines.iter().map(|line| line.sku.clone()));
        }
        // Only reservations that were committed have shipments.
        if matches!(reservation.state, State::Committed | State::Restocked) {
            firm.push(root.allocation.order_id.0);
        }
    }
    // Looked at in the order in which they are sent: what is behind one that failed knows only that the transaction is aborted.
    let (shipments, levels) = tokio::join!(
        async { if firm.is_empty() { Ok(Vec::new()) } else { shipments::of_orders(conn, &firm).await } },
        load_levels(conn, &mut loaded, &skus, Which::Watched),
    );
    let shipments = shipments?;
    levels?;
    for (order_id, shipment) in shipments {
        if let Some(root) = loaded.orders.get_mut(&order_id) {
            root.allocation.shipments.push(shipment);
        }
    }
    Ok(loaded)
}

/// Locks and reads what decisions about these products need, as far as they are listed: first the levels, then the
/// products.
pub async fn load_products(conn: &mut AsyncPgConnection, skus: impl IntoIterator<Item = Sku>) -> QueryResult<Loaded> {
    let mut loaded = Loaded::new(now(conn).await?);
    load_levels(conn, &mut loaded, &skus.into_iter().collect(), Which::All).await?;
    Ok(loaded)
}

async fn load_levels(
    conn: &AsyncPgConnection,
    loaded: &mut Loaded,
    skus: &BTreeSet<Sku>,
    which: Which,
) -> QueryResult<()> {
    if skus.is_empty() {
        return Ok(());
    }
    let skus: Vec<_> = skus.iter().map(Sku::as_str).collect();
    loaded.levels = levels::lock(conn, &skus).await?;
    let products = products::lock(conn, &skus, which).await?;
    loaded.products = products.into_iter().map(|root| (root.product.sku.clone(), root)).collect();
    Ok(())
}

/// Writes what was decided: one statement a table, and one for all events, in the order of the decisions. The
/// statements are sent together, since none needs the result of another. Fails if a statement fails, or if an event
/// is too large, which none here can be.
pub async fn save(conn: &mut AsyncPgConnection, mut loaded: Loaded) -> Result<(), AppendError> {
    let announcements = std::mem::take(&mut loaded.announcements);
    let (conn, loaded) = (&*conn, &loaded);
    let address = json!({"delivery_address": null});
    let (roots, timers, shipments, levels, products, movements, responses, announced) = tokio::join!(
        roots::save(conn, loaded),
        roots::save_timers(conn, loaded),
        shipments::save(conn, loaded),
        levels::save(conn, loaded),
        products::save(conn, loaded),
        movements::enter(conn, &loaded.movements),
        idempotency::redact(conn, &loaded.forgotten, &address),
        outbox_relay::append_all(conn, announcements),
    );
    let tables = [roots, timers, shipments, levels, products, movements, responses];
    pool::first_cause(tables.map(|saved| saved.map_err(AppendError::from)).into_iter().chain([announced]))
}

/// The database's time of this transaction, which timers use too.
pub async fn now(conn: &mut AsyncPgConnection) -> QueryResult<DateTime<Utc>> {
    diesel::select(diesel::dsl::now.into_sql::<Timestamptz>()).get_result(conn).await
}

fn from_json<T: DeserializeOwned>(value: Value) -> QueryResult<T> {
    serde_json::from_value(value).map_err(|error| Error::DeserializationError(error.into()))
}

fn to_json(value: &impl Serialize) -> QueryResult<Value> {
    serde_json::to_value(value).map_err(|error| Error::SerializationError(error.into()))
}

/// Parses a column's text, which was written by the same value type.
fn parsed<T: std::str::FromStr>(text: &str) -> QueryResult<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|error: T::Err| Error::DeserializationError(error.into()))
}

/// The error for a row that no version of this service writes.
fn unreadable(what: impl Into<String>) -> Error {
    Error::DeserializationError(what.into().into())
}
