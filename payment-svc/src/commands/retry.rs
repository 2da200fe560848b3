use diesel_async::AsyncPgConnection;
use service_kit::consumer::ReactionError;
use shared_events::OrderId;

use super::follow;
use crate::store::roots::{self, Cause};

/// The time of a retry has come: the gateway is asked again, unless the hold has ended or the goods were given back
/// meanwhile. Runs in the transaction of the timer.
pub async fn retry(conn: &mut AsyncPgConnection, order_id: OrderId) -> Result<(), ReactionError> {
    let mut root = roots::lock_or_create(conn, order_id).await?;
    match root.payment.retry() {
        Ok(step) => follow(conn, &mut root, step, &Cause::default()).await,
        Err(refused) => {
            tracing::debug!(order.id = %order_id, %refused, "a retry came too late");
            Ok(())
        }
    }
}
