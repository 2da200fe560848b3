use diesel_async::pooled_connection::deadpool::PoolError;
use futures_util::future::join;
use service_kit::Pool;
use service_kit::transaction::Transaction;
use shared_events::OrderId;

use crate::domain::{Decided, Order, Refused};
use crate::store::{self, AnnounceError, Root};

#[derive(Debug, thiserror::Error)]
pub enum ChangeOrderError {
    #[error("there is no such order")]
    NotFound,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Announce(#[from] AnnounceError),
}

impl From<diesel::result::Error> for ChangeOrderError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Announce(error.into())
    }
}

/// Loads an order, lets `decide` tell what changes, if anything does, and saves that: three round trips.
pub(super) async fn change_order(
    pool: &Pool,
    id: OrderId,
    decide: impl FnOnce(&Root) -> Result<Option<Decided>, ChangeOrderError>,
) -> Result<Order, ChangeOrderError> {
    let mut conn = pool.get().await?;
    let transaction = Transaction::on(&mut conn)?;
    let changed = change(&transaction, id, decide).await;
    transaction.end(changed).await
}

async fn change(
    transaction: &Transaction<'_>,
    id: OrderId,
    decide: impl FnOnce(&Root) -> Result<Option<Decided>, ChangeOrderError>,
) -> Result<Order, ChangeOrderError> {
    let mut loaded = store::begin_with_order(transaction, id).await?;
    if let Some(decided) = decide(loaded.order(id).ok_or(ChangeOrderError::NotFound)?)? {
        loaded.apply(decided, None)?;
    }
    // read as it was just saved
    let (saved, order) =
        join(store::save(transaction.conn(), loaded), store::orders::find(transaction.conn(), id)).await;
    saved?;
    order?.ok_or(ChangeOrderError::NotFound)
}
