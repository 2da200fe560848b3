//! The worker that calls the gateway: takes a call that was decided on, asks outside any transaction, and settles it.

mod ask;
mod look_ups;

use std::{sync::Arc, time::Duration};

use service_kit::{Pool, outside::OutsideCalls, trace};
use shared_events::PaymentId;

pub use ask::Later;
pub use look_ups::CustomerLookUps;
use tokio::time::timeout;

use crate::{
    commands,
    domain::Answer,
    gateway::PaymentGateway,
    store::calls::{self, TakenCall},
};

/// Everything that a call to the gateway needs.
#[derive(Clone)]
pub struct GatewayCalls<G> {
    pool: Pool,
    gateway: Arc<G>,
    asking: Duration,
    settled: Arc<dyn Fn() + Send + Sync>,
}

impl<G: PaymentGateway> GatewayCalls<G> {
    /// `settled` is told after each commit that may have announced something.
    pub fn new(pool: Pool, gateway: Arc<G>, settled: impl Fn() + Send + Sync + 'static) -> Self {
        Self { pool, gateway, asking: calls::ASKING, settled: Arc::new(settled) }
    }

    /// Gives each try this long instead of [`calls::ASKING`]; longer than that would outlast the lease.
    #[must_use]
    pub fn asking_for(self, asking: Duration) -> Self {
        Self { asking: asking.min(calls::ASKING), ..self }
    }

    /// Takes the call of one payment, due or not, unless another worker has it.
    ///
    /// # Errors
    /// The database.
    pub async fn take_of(&self, payment: PaymentId) -> anyhow::Result<Option<TakenCall>> {
        Ok(calls::take_of(&mut *self.pool.get().await?, payment).await?)
    }

    async fn ask_and_settle(&self, call: &TakenCall) -> anyhow::Result<()> {
        // Cut off, the gateway may or may not have been asked: nobody knows, as after its own time-out.
        let answer = timeout(self.asking, self.ask(call)).await.unwrap_or(Ok(Answer::Nothing));
        let mut conn = self.pool.get().await?;
        match answer {
            Ok(answer) => {
                if answer == Answer::Nothing {
                    tracing::warn!(order.id = %call.order_id, call = call.key, "the gateway did not answer");
                }
                commands::settle(&mut conn, call, answer).await?;
            }
            Err(Later(why)) => {
                tracing::warn!(order.id = %call.order_id, call = call.key, tries = call.tries, why, "put off");
                calls::put_off(&mut conn, call).await?;
            }
        }
        drop(conn);
        (self.settled)();
        Ok(())
    }
}

impl<G: PaymentGateway> OutsideCalls for GatewayCalls<G> {
    type Call = TakenCall;

    async fn take(&self, limit: usize) -> anyhow::Result<Vec<TakenCall>> {
        let mut conn = self.pool.get().await?;
        Ok(calls::take(&mut conn, i64::try_from(limit)?).await?)
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        Ok(calls::next_due(&mut *self.pool.get().await?).await?)
    }

    async fn perform(&self, call: TakenCall) -> anyhow::Result<()> {
        trace::within(call.cause.traceparent.as_deref(), self.ask_and_settle(&call)).await
    }
}
