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
    /// The orders whose time is over.
    type Loaded = Vec<OrderId>;

    async fn load(&self, conn: &mut AsyncPgConnection, keys: &[&str]) -> Result<Vec<OrderId>, ReactionError> {
        let ids = keys.iter().map(|key| Ok(order_id(key)?.0)).collect::<Result<Vec<_>, ReactionError>>()?;
        store::roots::lock_all(conn, &ids).await?;
        Ok(Vec::new())
    }

    fn fire(&self, due: &mut Vec<OrderId>, kind: &str, key: &str) -> Result<(), ReactionError> {
        if kind != DEADLINE_TIMER {
            return Err(ReactionError::permanent(anyhow!("{kind:?} is not a timer of this service")));
        }
        due.push(order_id(key)?);
        Ok(())
    }

    async fn save(&self, conn: &mut AsyncPgConnection, due: Vec<OrderId>) -> Result<(), ReactionError> {
        for order in due {
            time_out_order(conn, order).await?;
        }
        Ok(())
    }

    fn committed(&self) {
        self.nudge.nudge();
    }
}

fn order_id(key: &str) -> Result<OrderId, ReactionError> {
    key.parse().map_err(ReactionError::permanent)
}
