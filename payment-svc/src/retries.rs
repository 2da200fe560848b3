//! The timer that asks the gateway again after a decline that may pass.

use anyhow::anyhow;
use diesel_async::AsyncPgConnection;
use service_kit::consumer::ReactionError;
use service_kit::{external_calls, timers::Timers};
use shared_events::OrderId;

use crate::store::{self, Causation, Loaded, RETRY};

#[derive(Clone, Debug)]
pub struct Retries {
    pub calls: external_calls::Nudge,
}

impl Timers for Retries {
    type Loaded = Loaded;

    async fn load(&self, conn: &mut AsyncPgConnection, keys: &[&str]) -> Result<Loaded, ReactionError> {
        let orders = keys.iter().map(|key| order_id(key)).collect::<Result<Vec<_>, ReactionError>>()?;
        Ok(store::load(conn, orders).await?)
    }

    /// The gateway is asked again, unless the hold has ended or the goods were given back meanwhile.
    fn fire(&self, loaded: &mut Loaded, kind: &str, key: &str) -> Result<(), ReactionError> {
        if kind != RETRY {
            return Err(ReactionError::permanent(anyhow!("{kind:?} is not a timer of this service")));
        }
        let order_id = order_id(key)?;
        let mut payment = loaded.payment(order_id)?.clone();
        match payment.retry() {
            Ok(step) => Ok(loaded.apply(payment, step, &Causation::default())?),
            Err(refused) => {
                tracing::debug!(order.id = %order_id, %refused, "a retry came too late");
                Ok(())
            }
        }
    }

    async fn save(&self, conn: &mut AsyncPgConnection, loaded: Loaded) -> Result<(), ReactionError> {
        Ok(store::save(conn, loaded).await?)
    }

    fn committed(&self) {
        self.calls.nudge();
    }
}

fn order_id(key: &str) -> Result<OrderId, ReactionError> {
    key.parse().map_err(ReactionError::permanent)
}
