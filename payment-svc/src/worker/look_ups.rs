//! While a customer is waited for, the gateway is asked what they did: the webhook that says so can be lost.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use service_kit::Pool;
use service_kit::external_calls::{ExternalCalls, Performed};
use shared_events::OrderId;
use tokio::time::timeout;

use crate::commands::{self, CustomerFound, LookedUp};
use crate::domain::State;
use crate::gateway::PaymentGateway;
use crate::store::look_ups::LookUp;
use crate::store::{calls, look_ups, payments};

#[derive(Clone)]
pub struct CustomerLookUps<G> {
    pool: Pool,
    gateway: Arc<G>,
    applied: Arc<dyn Fn() + Send + Sync>,
}

const ASKING: Duration = calls::ASKING;

impl<G: PaymentGateway> CustomerLookUps<G> {
    /// `applied` is told after each commit that may have announced something, or decided on a call.
    pub fn new(pool: Pool, gateway: Arc<G>, applied: impl Fn() + Send + Sync + 'static) -> Self {
        Self { pool, gateway, applied: Arc::new(applied) }
    }
}

impl<G: PaymentGateway> CustomerLookUps<G> {
    /// Looks one up, and settles it. If the result can't be recorded, it is due again when its lease ends.
    pub async fn perform(&self, look_up: LookUp) -> anyhow::Result<Performed> {
        let made = self.make(look_up).await;
        let performed = self.settle(std::slice::from_ref(&made)).await?;
        Ok(performed.into_iter().next().unwrap_or(Performed::PutOff))
    }

    async fn find(&self, order: OrderId) -> anyhow::Result<CustomerFound> {
        let mut conn = self.pool.get().await?;
        let (before, asked_at) = payments::read_now(&mut conn, order).await?;
        let (State::ActionRequired, Some(intent)) = (before.state, before.intent.clone()) else {
            return Ok(CustomerFound::NotAwaited);
        };
        let traceparent = calls::trace_of(&mut conn, &intent).await?;
        drop(conn);
        let intent = timeout(ASKING, self.gateway.look_up(intent)).await.context("timed out")??;
        Ok(CustomerFound::Intent { before: Box::new(before), traceparent, intent, asked_at })
    }
}

impl<G: PaymentGateway> ExternalCalls for CustomerLookUps<G> {
    type Call = LookUp;
    type Made = LookedUp;

    async fn take(&self, limit: usize) -> anyhow::Result<Vec<LookUp>> {
        let mut conn = self.pool.get().await?;
        Ok(look_ups::take(&mut conn, i64::try_from(limit)?).await?)
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        Ok(look_ups::next_due(&mut *self.pool.get().await?).await?)
    }

    async fn make(&self, look_up: LookUp) -> LookedUp {
        let found = self.find(look_up.order_id).await.unwrap_or_else(|why| {
            let (order, tries, why) = (look_up.order_id, look_up.tries, format!("{why:#}"));
            tracing::warn!(order.id = %order, tries, why, "what the customer did can't be looked up");
            CustomerFound::Unknown
        });
        LookedUp { look_up, found }
    }

    async fn settle(&self, made: &[LookedUp]) -> anyhow::Result<Vec<Performed>> {
        let performed = commands::customers_looked_up(&mut *self.pool.get().await?, made).await?;
        (self.applied)();
        Ok(performed)
    }

    async fn settle_unless_locked(&self, made: &[LookedUp]) -> anyhow::Result<Vec<Performed>> {
        let performed = commands::customers_looked_up_unless_locked(&mut *self.pool.get().await?, made).await?;
        (self.applied)();
        Ok(performed)
    }
}
