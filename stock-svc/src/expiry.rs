//! The timer that ends holds. Nothing else does, so that a late `confirmed` and the expiry are decided in one place.

use anyhow::anyhow;
use diesel_async::AsyncPgConnection;
use outbox_relay::Nudge;
use service_kit::consumer::ReactionError;
use service_kit::timers::Timers;
use shared_events::{Invalid, OrderId};

use crate::store::roots::EXPIRY;
use crate::store::{levels, roots};

/// Ends holds as their timers fall due.
#[derive(Clone, Debug)]
pub struct Expiry {
    /// Wakes the relay after a commit.
    pub nudge: Nudge,
}

impl Timers for Expiry {
    /// The orders' roots, then their SKUs: in the order that the reactions have.
    async fn lock(&self, conn: &mut AsyncPgConnection, keys: &[&str]) -> Result<(), ReactionError> {
        let ids = keys.iter().map(|key| Ok(order_id(key)?.0)).collect::<Result<Vec<_>, ReactionError>>()?;
        let lines = roots::lock_all(conn, ids).await?;
        levels::lock(conn, lines.iter().map(|line| &line.sku)).await?;
        Ok(())
    }

    async fn fire(&self, conn: &mut AsyncPgConnection, kind: &str, key: &str) -> Result<(), ReactionError> {
        if kind != EXPIRY {
            return Err(ReactionError::permanent(anyhow!("{kind:?} is not a timer of this service")));
        }
        let order_id = order_id(key)?;
        let Some(mut root) = roots::lock(conn, order_id).await? else { return Ok(()) };
        match root.goods.clone().expire() {
            Ok(change) => Ok(roots::keep_and_announce(conn, &mut root, change, None).await?),
            Err(refused) => {
                tracing::debug!(order.id = %order_id, reason = %refused, "a timer came late");
                Ok(())
            }
        }
    }

    fn committed(&self) {
        self.nudge.nudge();
    }
}

fn order_id(key: &str) -> Result<OrderId, ReactionError> {
    key.parse().map_err(|error: Invalid| ReactionError::permanent(error))
}
