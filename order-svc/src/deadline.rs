//! The timer that gives up an order that is still pending.

use anyhow::anyhow;
use diesel_async::AsyncPgConnection;
use outbox_relay::Nudge;
use service_kit::consumer::ReactionError;
use service_kit::timers::Timers;
use shared_events::OrderId;

use crate::commands::DEADLINE_TIMER;
use crate::store::{self, BatchKeys, Loaded};

pub struct Deadlines {
    nudge: Nudge,
}

impl Deadlines {
    pub const fn new(nudge: Nudge) -> Self {
        Self { nudge }
    }
}

impl Timers for Deadlines {
    type Loaded = Loaded;

    async fn load(&self, conn: &mut AsyncPgConnection, keys: &[&str]) -> Result<Loaded, ReactionError> {
        let orders = keys.iter().map(|key| order_id(key)).collect::<Result<_, ReactionError>>()?;
        Ok(store::load(conn, BatchKeys { orders, ..BatchKeys::default() }).await?)
    }

    /// All events from before the deadline have been read, so an order that is still pending is given up.
    fn fire(&self, loaded: &mut Loaded, kind: &str, key: &str) -> Result<(), ReactionError> {
        if kind != DEADLINE_TIMER {
            return Err(ReactionError::permanent(anyhow!("{kind:?} is not a timer of this service")));
        }
        let id = order_id(key)?;
        let Some(root) = loaded.order(id) else { return Ok(()) };
        match root.progress.clone().time_out() {
            Ok(step) => Ok(loaded.apply(step.into(), None)?),
            Err(refused) => {
                tracing::debug!(order.id = %id, %refused, "a deadline passed without effect");
                Ok(())
            }
        }
    }

    async fn save(&self, conn: &mut AsyncPgConnection, loaded: Loaded) -> Result<(), ReactionError> {
        Ok(store::save(conn, loaded).await?)
    }

    fn committed(&self) {
        self.nudge.nudge();
    }
}

fn order_id(key: &str) -> Result<OrderId, ReactionError> {
    key.parse().map_err(ReactionError::permanent)
}
