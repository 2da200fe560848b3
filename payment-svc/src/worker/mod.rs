//! The worker that calls the gateway: takes a call that was decided on, asks outside any transaction, and settles it.

mod ask;
mod look_ups;

use std::{sync::Arc, time::Duration};

use diesel_async::AsyncPgConnection;
use service_kit::{
    Pool,
    circuit_breaker::{Begun, CircuitBreaker},
    external_calls::{ExternalCalls, Performed},
    trace,
};
use shared_events::PaymentId;

pub use ask::Later;
pub use look_ups::CustomerLookUps;
use tokio::time::timeout;

use crate::{
    commands,
    domain::Answer,
    gateway::{AWAY, PaymentGateway},
    store::calls::{self, Failure, TakenCall},
};

/// Everything that a call to the gateway needs.
#[derive(Clone)]
pub struct GatewayCalls<G> {
    pool: Pool,
    gateway: Arc<G>,
    server: CircuitBreaker,
    asking: Duration,
    settled: Arc<dyn Fn() + Send + Sync>,
}

impl<G: PaymentGateway> GatewayCalls<G> {
    /// `settled` is told after each commit that may have announced something.
    pub fn new(pool: Pool, gateway: Arc<G>, settled: impl Fn() + Send + Sync + 'static) -> Self {
        let server = CircuitBreaker::new("gateway");
        Self { pool, gateway, server, asking: calls::ASKING, settled: Arc::new(settled) }
    }

    /// Gives each try this long instead of [`calls::ASKING`]; longer than that would outlast the lease.
    #[must_use]
    pub fn asking_for(self, asking: Duration) -> Self {
        Self { asking: asking.min(calls::ASKING), ..self }
    }

    /// Takes the call of one payment, due or not, unless another worker has it.
    pub async fn take_of(&self, payment: PaymentId) -> anyhow::Result<Option<TakenCall>> {
        Ok(calls::take_of(&mut *self.pool.get().await?, payment).await?)
    }

    async fn ask_and_settle(&self, call: &TakenCall) -> anyhow::Result<Performed> {
        // Cut off, the gateway may or may not have been asked: nobody knows, as after its own time-out.
        let cut_off = |_| {
            let later = Later::new("no_answer", format!("cut off after {} s", self.asking.as_secs_f64()));
            Err(Later { unanswered: true, ..later })
        };
        let begun = self.server.begin();
        let answer = timeout(self.asking, self.ask(call)).await.unwrap_or_else(cut_off);
        self.note(begun, &answer);
        let mut conn = self.pool.get().await?;
        let performed = match answer {
            Ok(Answer::Nothing) => {
                let text = "the gateway has not come to an end with it".to_owned();
                self.unanswered(&mut conn, call, &Failure { code: "under_way", text }).await?
            }
            Ok(answer) => {
                commands::settle(&mut conn, call, answer).await?;
                Performed::Done
            }
            Err(Later { failure, unanswered: true }) => self.unanswered(&mut conn, call, &failure).await?,
            Err(Later { failure, .. }) if failure.code == AWAY => {
                calls::put_back(&mut conn, call, &failure).await?;
                Performed::PutOff
            }
            Err(Later { failure: Failure { code, text }, .. }) => {
                tracing::warn!(order.id = %call.order_id, call = call.key, tries = call.tries, code, text, "put off");
                calls::put_off(&mut conn, call, &Failure { code, text }).await?;
                Performed::PutOff
            }
        };
        drop(conn);
        (self.settled)();
        Ok(performed)
    }

    /// What this call shows of the gateway.
    fn note(&self, begun: Begun, answer: &Result<Answer, Later>) {
        match answer {
            Err(Later { failure, .. }) if failure.code == AWAY => self.server.unreachable(begun, &failure.text),
            Ok(Answer::NotAsked) => self.server.not_called(),
            Err(Later { failure, .. }) if matches!(failure.code, "database" | "payment_svc") => {
                self.server.not_called()
            }
            // that it did not answer in time says too little
            Err(Later { unanswered: true, .. }) => {}
            Ok(_) | Err(_) => self.server.reached(),
        }
    }

    async fn unanswered(
        &self,
        conn: &mut AsyncPgConnection,
        call: &TakenCall,
        failure: &Failure,
    ) -> anyhow::Result<Performed> {
        let Failure { code, text } = failure;
        tracing::warn!(order.id = %call.order_id, call = call.key, code, text, "the gateway did not answer");
        commands::unanswered(conn, call, failure).await?;
        Ok(Performed::PutOff)
    }
}

impl<G: PaymentGateway> ExternalCalls for GatewayCalls<G> {
    type Call = TakenCall;

    async fn take(&self, limit: usize) -> anyhow::Result<Vec<TakenCall>> {
        let mut conn = self.pool.get().await?;
        Ok(calls::take(&mut conn, i64::try_from(limit)?).await?)
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        Ok(calls::next_due(&mut *self.pool.get().await?).await?)
    }

    fn breaker(&self) -> Option<&CircuitBreaker> {
        Some(&self.server)
    }

    async fn perform(&self, call: TakenCall) -> anyhow::Result<Performed> {
        trace::within(call.cause.traceparent.as_deref(), self.ask_and_settle(&call)).await
    }
}
