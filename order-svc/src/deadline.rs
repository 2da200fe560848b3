//! The timer that gives up an order that is still pending.

use anyhow::anyhow;
use diesel_async::AsyncPgConnection;
use outbox_relay::Nudge;
use service_kit::consumer::ReactionError;
use service_kit::timers::Timers;
use shared_events::OrderId;

use crate::commands::{DEADLINE_TIMER, time_out_order};
use crate::store;

/// Fires the deadlines of orders.
pub struct Deadlines {
    nudge: Nudge,
}

impl Deadlines {
    /// Deadlines that wake this relay.
    pub const fn new(nudge: Nudge) -> Self {
        Self { nudge }
    }
}

impl Timers for Deadlines {
    async fn lock(&self, conn: &mut AsyncPgConnection, keys: &[&str]) -> Result<(), ReactionError> {
        let ids = keys.iter().map(|key| Ok(order_id(key)?.0)).collect::<Result<Vec<_>, ReactionError>>()?;
        Ok(store::roots::lock_all(conn, &ids).await?)
    }

    async fn fire(&self, conn: &mut AsyncPgConnection, kind: &str, key: &str) -> Result<(), ReactionError> {
        if kind != DEADLINE_TIMER {
            return Err(ReactionError::permanent(anyhow!("{kind:?} is not a timer of this service")));
        }
        Ok(time_out_order(conn, order_id(key)?).await?)
    }

    fn committed(&self) {
        self.nudge.nudge();
    }
}

fn order_id(key: &str) -> Result<OrderId, ReactionError> {
    key.parse().map_err(ReactionError::permanent)
}
