use diesel_async::AsyncConnection;
use diesel_async::pooled_connection::deadpool::PoolError;
use service_kit::{Pool, timers};
use shared_events::OrderId;

use super::DEADLINE_TIMER;
use crate::domain::{Order, Refused};
use crate::store::{self, AnnounceError};

/// Why an order was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelOrderError {
    /// There is none of that id.
    #[error("there is no such order")]
    NotFound,
    /// It came too late.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No connection.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The change, or what it says, could not be written.
    #[error(transparent)]
    Announce(#[from] AnnounceError),
}

impl From<diesel::result::Error> for CancelOrderError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Announce(error.into())
    }
}

/// The customer cancels: the order goes to `cancelling` and stock-svc is asked for the goods. Asked again, nothing new
/// is said.
///
/// # Errors
/// See [`CancelOrderError`].
pub async fn cancel_order(pool: &Pool, id: OrderId) -> Result<Order, CancelOrderError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let mut root = store::roots::lock(conn, id).await?.ok_or(CancelOrderError::NotFound)?;
        let (progress, says) = root.progress.clone().cancel()?;
        if progress != root.progress {
            root.progress = progress;
            store::roots::announce(conn, &mut root, &says, None).await?;
            timers::cancel(conn, DEADLINE_TIMER, &id.to_string()).await?;
        }
        store::orders::find(conn, id).await?.ok_or(CancelOrderError::NotFound)
    })
    .await
}
