//! While a customer is waited for, the gateway is asked what they did: the webhook that says so can be lost.

use std::{sync::Arc, time::Duration};

use service_kit::{
    Pool,
    external_calls::{ExternalCalls, Performed},
};
use tokio::time::timeout;

use crate::{
    commands,
    domain::State,
    gateway::{GatewayError, PaymentGateway},
    store::{calls, look_ups, look_ups::LookUp, payments},
};

/// Everything that a look-up needs.
#[derive(Clone)]
pub struct CustomerLookUps<G> {
    pool: Pool,
    gateway: Arc<G>,
    applied: Arc<dyn Fn() + Send + Sync>,
}

/// How long the gateway may take.
const ASKING: Duration = calls::ASKING;

impl<G: PaymentGateway> CustomerLookUps<G> {
    /// `applied` is told after each commit that may have announced something, or decided on a call.
    pub fn new(pool: Pool, gateway: Arc<G>, applied: impl Fn() + Send + Sync + 'static) -> Self {
        Self { pool, gateway, applied: Arc::new(applied) }
    }
}

impl<G: PaymentGateway> ExternalCalls for CustomerLookUps<G> {
    type Call = LookUp;

    async fn take(&self, limit: usize) -> anyhow::Result<Vec<LookUp>> {
        let mut conn = self.pool.get().await?;
        Ok(look_ups::take(&mut conn, i64::try_from(limit)?).await?)
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        Ok(look_ups::next_due(&mut *self.pool.get().await?).await?)
    }

    async fn perform(&self, look_up: LookUp) -> anyhow::Result<Performed> {
        let order = look_up.order_id;
        let (before, asked_at) = payments::read_now(&mut *self.pool.get().await?, order).await?;
        let (State::ActionRequired, Some(intent)) = (before.state, before.intent.clone()) else {
            look_ups::end(&mut *self.pool.get().await?, order).await?;
            return Ok(Performed::Done);
        };
        let found = timeout(ASKING, self.gateway.look_up(intent)).await;
        let found = found.unwrap_or_else(|_| Err(GatewayError::NoAnswer("timed out".to_owned())));
        let mut conn = self.pool.get().await?;
        match found {
            Ok(found) => {
                let waits = commands::customer_looked_up(&mut conn, &before, found, asked_at).await?;
                if waits {
                    look_ups::put_off(&mut conn, look_up, before.hold.deadline).await?;
                } else {
                    look_ups::end(&mut conn, order).await?;
                    (self.applied)();
                }
            }
            Err(why) => {
                tracing::warn!(order.id = %order, tries = look_up.tries, %why, "what the customer did can't be looked up");
                look_ups::put_off(&mut conn, look_up, before.hold.deadline).await?;
                return Ok(Performed::PutOff);
            }
        }
        Ok(Performed::Done)
    }
}
