//! The timer that expires reservations. Nothing else does, so the race of expiry and a late `confirmed` is decided in
//! one place.

use anyhow::anyhow;
use diesel_async::AsyncPgConnection;
use outbox_relay::Nudge;
use service_kit::consumer::ReactionError;
use service_kit::timers::Timers;
use shared_events::{Invalid, OrderId};

use crate::store::roots::EXPIRY;
use crate::store::{self, Loaded};

#[derive(Clone, Debug)]
pub struct Expiry {
    pub nudge: Nudge,
}

impl Timers for Expiry {
    type Loaded = Loaded;

    async fn load(&self, conn: &mut AsyncPgConnection, keys: &[&str]) -> Result<Loaded, ReactionError> {
        let orders = keys.iter().map(|key| order_id(key)).collect::<Result<Vec<_>, ReactionError>>()?;
        Ok(store::load(conn, orders, []).await?)
    }

    fn fire(&self, loaded: &mut Loaded, kind: &str, key: &str) -> Result<(), ReactionError> {
        if kind != EXPIRY {
            return Err(ReactionError::permanent(anyhow!("{kind:?} is not a timer of this service")));
        }
        let order_id = order_id(key)?;
        match loaded.allocation(order_id)?.clone().expire() {
            Ok(change) => Ok(loaded.apply(change, None)?),
            Err(refused) => {
                tracing::debug!(order.id = %order_id, reason = %refused, "a timer came late");
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
    key.parse().map_err(|error: Invalid| ReactionError::permanent(error))
}
