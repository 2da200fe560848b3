use diesel_async::AsyncConnection;
use diesel_async::pooled_connection::deadpool::PoolError;
use service_kit::Pool;
use shared_events::{CustomerId, OrderId};
use uuid::Uuid;

use crate::store::forgetting::{self, LeftOrders};
use crate::store::{self, AnnounceError, BatchKeys, customers};

/// How many orders one transaction takes: it holds their rows for some milliseconds.
const BATCH: i64 = 100;
/// The most orders that one request takes, so that it is answered in time.
pub const MOST_AT_ONCE: usize = 2_000;

/// What was taken, and what is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// Whether there was a profile.
    pub profile: bool,
    /// How many orders the person was taken from.
    pub orders: usize,
    pub left: LeftOrders,
}

#[derive(Debug, thiserror::Error)]
pub enum ForgetCustomerError {
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Announce(#[from] AnnounceError),
}

impl From<diesel::result::Error> for ForgetCustomerError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Announce(error.into())
    }
}

/// Deletes a customer's profile and takes the person from up to [`MOST_AT_ONCE`] ended orders, batch by batch, each in a
/// transaction of its own with its events. What is interrupted goes on where it ended when it is asked for again, and of
/// two who ask at once each order is taken by one.
pub async fn forget_customer(pool: &Pool, customer: &CustomerId) -> Result<Forgotten, ForgetCustomerError> {
    let profile = forget_profile(pool, customer).await?;
    let (mut orders, mut after) = (0, OrderId(Uuid::nil()));
    let mut conn = pool.get().await?;
    while orders < MOST_AT_ONCE {
        let batch = forgetting::next(&mut conn, customer.as_str(), after, BATCH).await?;
        let Some(last) = batch.last() else { break };
        after = *last;
        orders += conn.transaction(async |conn| forget_orders(conn, customer, batch).await).await?;
    }
    let left = forgetting::left(&mut conn, customer.as_str()).await?;
    Ok(Forgotten { profile, orders, left })
}

/// Returns whether there was a profile.
async fn forget_profile(pool: &Pool, customer: &CustomerId) -> Result<bool, ForgetCustomerError> {
    let mut conn = pool.get().await?;
    // locking would make a row for whoever never had one
    if customers::profile(&conn, customer).await?.is_none() {
        return Ok(false);
    }
    conn.transaction(async |conn| {
        let mut root = customers::lock(conn, customer).await?;
        if root.profile.take().is_none() {
            return Ok(false);
        }
        root.version += 1;
        root.updated_at = root.now;
        customers::announce(conn, &mut [root]).await?;
        Ok(true)
    })
    .await
}

/// Returns how many of these orders are forgotten now that were not before.
async fn forget_orders(
    conn: &diesel_async::AsyncPgConnection,
    customer: &CustomerId,
    orders: Vec<OrderId>,
) -> Result<usize, AnnounceError> {
    let mut loaded = store::load(conn, BatchKeys { orders: orders.clone(), ..BatchKeys::default() }).await?;
    let mut count = 0;
    for id in orders {
        count += usize::from(loaded.forget(id, customer)?);
    }
    store::save(conn, loaded).await?;
    Ok(count)
}
