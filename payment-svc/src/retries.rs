//! The timer that asks the gateway again after a decline that may pass.

use anyhow::anyhow;
use diesel_async::AsyncPgConnection;
use service_kit::consumer::ReactionError;
use service_kit::{external_calls, timers::Timers};
use shared_events::OrderId;

use crate::commands::{self, RETRY};
use crate::store::roots;

/// Fires the retries of payments.
#[derive(Clone, Debug)]
pub struct Retries {
    /// Wakes the worker that calls the gateway.
    pub calls: external_calls::Nudge,
}

impl Timers for Retries {
    /// The orders whose payment is asked for again.
    type Loaded = Vec<OrderId>;

    async fn load(&self, conn: &mut AsyncPgConnection, keys: &[&str]) -> Result<Vec<OrderId>, ReactionError> {
        let orders = keys.iter().map(|key| order_id(key)).collect::<Result<_, ReactionError>>()?;
        roots::lock_all(conn, orders).await?;
        Ok(Vec::new())
    }

    fn fire(&self, due: &mut Vec<OrderId>, kind: &str, key: &str) -> Result<(), ReactionError> {
        if kind != RETRY {
            return Err(ReactionError::permanent(anyhow!("{kind:?} is not a timer of this service")));
        }
        due.push(order_id(key)?);
        Ok(())
    }

    async fn save(&self, conn: &mut AsyncPgConnection, due: Vec<OrderId>) -> Result<(), ReactionError> {
        for order in due {
            commands::retry(conn, order).await?;
        }
        Ok(())
    }

    fn committed(&self) {
        self.calls.nudge();
    }
}

fn order_id(key: &str) -> Result<OrderId, ReactionError> {
    key.parse().map_err(ReactionError::permanent)
}
