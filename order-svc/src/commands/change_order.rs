use chrono::{DateTime, Utc};
use diesel_async::pooled_connection::deadpool::PoolError;
use futures_util::future::join;
use service_kit::Pool;
use service_kit::transaction::Transaction;
use shared_events::OrderId;

use crate::domain::{Decided, NoteText, Order, Progress, Refused, Transition};
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
    in_transaction(pool, id, None, |root, _| decide(root)).await
}

/// Who of staff changes an order, and what is written down of that.
pub(super) struct ByStaff<'a> {
    pub author: Option<&'a str>,
    pub note: NoteText,
    /// Whether it says more than what is done, so that it is written down although nothing changes.
    pub says_more: bool,
}

/// The same for what staff do, at the database's time, with a note.
pub(super) async fn change_order_by_staff(
    pool: &Pool,
    id: OrderId,
    by: ByStaff<'_>,
    decide: impl FnOnce(Progress, DateTime<Utc>) -> Result<Transition, Refused>,
) -> Result<Order, ChangeOrderError> {
    let decide = |root: &Root, now| {
        let step = decide(root.progress.clone(), now)?;
        Ok((step.0 != root.progress).then(|| step.into()))
    };
    in_transaction(pool, id, Some(by), decide).await
}

async fn in_transaction(
    pool: &Pool,
    id: OrderId,
    by: Option<ByStaff<'_>>,
    decide: impl FnOnce(&Root, DateTime<Utc>) -> Result<Option<Decided>, ChangeOrderError>,
) -> Result<Order, ChangeOrderError> {
    let mut conn = pool.get().await?;
    let transaction = Transaction::on(&mut conn)?;
    let changed = change(&transaction, id, by, decide).await;
    transaction.end(changed).await
}

async fn change(
    transaction: &Transaction<'_>,
    id: OrderId,
    by: Option<ByStaff<'_>>,
    decide: impl FnOnce(&Root, DateTime<Utc>) -> Result<Option<Decided>, ChangeOrderError>,
) -> Result<Order, ChangeOrderError> {
    let mut loaded = store::begin_with_order(transaction, id).await?;
    let root = loaded.order(id).ok_or(ChangeOrderError::NotFound)?;
    let (decided, forgotten) = (decide(root, loaded.now)?, root.forgotten);
    let is_new = decided.is_some();
    if let Some(decided) = decided {
        loaded.apply(decided, None)?;
    }
    if let Some(ByStaff { author, note, .. }) = by.filter(|by| is_new || (by.says_more && !forgotten)) {
        loaded.note_of(id, author, note);
    }
    // read as it was just saved
    let (saved, order) =
        join(store::save(transaction.conn(), loaded), store::orders::find(transaction.conn(), id)).await;
    saved?;
    order?.ok_or(ChangeOrderError::NotFound)
}
