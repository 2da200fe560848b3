use diesel_async::AsyncConnection;
use service_kit::Pool;
use shared_events::CustomerId;

use super::ChangeProfileError;
use crate::store::customers;

/// How many customers one transaction announces. It keeps their rows locked until it ends.
const BATCH: i64 = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    pub customers: usize,
    /// The last id of the batch, after which the next one begins; none if the batch was empty.
    pub last: Option<CustomerId>,
}

/// Announces the customers after `after` again, in the order of their ids and each with its next sequence: their profiles, or
/// that they are forgotten. Consumers take it for the newest state, which is the same as before.
pub async fn reannounce(pool: &Pool, after: Option<&CustomerId>) -> Result<Announced, ChangeProfileError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let mut roots = customers::lock_after(conn, after, BATCH).await?;
        customers::announce(conn, &mut roots).await?;
        Ok(Announced { customers: roots.len(), last: roots.pop().map(|root| root.id) })
    })
    .await
}
