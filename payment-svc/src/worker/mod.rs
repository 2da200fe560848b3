//! The worker that calls the gateway: takes a call that was decided on, asks outside any transaction, and settles it.

mod ask;
mod look_ups;

use std::sync::Arc;
use std::time::{Duration, Instant};

use service_kit::circuit_breaker::{Begun, CircuitBreaker};
use service_kit::external_calls::{ExternalCalls, Nudge, Performed, Traced};
use service_kit::gather::Gather;
use service_kit::{Pool, trace};
use shared_events::{OrderId, PaymentId};

pub use ask::Later;
pub use look_ups::CustomerLookUps;
use tokio::time::timeout;

use crate::commands::{self, Asked, Settlement};
use crate::domain::GatewayReply;
use crate::gateway::{AWAY, PaymentGateway};
use crate::metrics;
use crate::store::calls::{self, Failure, TakenCall};
use crate::store::payments::Noted;

#[derive(Clone)]
pub struct GatewayCalls<G> {
    pool: Pool,
    gateway: Arc<G>,
    server: CircuitBreaker,
    asking: Duration,
    noting: Arc<Gather<(OrderId, String), Result<Noted, String>>>,
    settled: Arc<dyn Fn() + Send + Sync>,
    customers: Nudge,
}

impl<G: PaymentGateway> GatewayCalls<G> {
    /// `settled` is told after each commit that may have announced something.
    pub fn new(pool: Pool, gateway: Arc<G>, settled: impl Fn() + Send + Sync + 'static) -> Self {
        let server = CircuitBreaker::new("gateway");
        Self {
            pool,
            gateway,
            server,
            asking: calls::ASKING,
            noting: Arc::default(),
            settled: Arc::new(settled),
            customers: Nudge::default(),
        }
    }

    /// Wakes the worker that looks customers up when one is to be waited for.
    #[must_use]
    pub fn waking(self, customers: Nudge) -> Self {
        Self { customers, ..self }
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

    async fn ask_within(&self, call: TakenCall) -> Settlement {
        // Cut off, the gateway may or may not have been asked: nobody knows, as after its own time-out.
        let cut_off = |_| {
            let later = Later::new("no_answer", format!("cut off after {} s", self.asking.as_secs_f64()));
            Err(Later { unanswered: true, ..later })
        };
        let begun = self.server.begin();
        let started = Instant::now();
        let answer = timeout(self.asking, self.ask(&call)).await.unwrap_or_else(cut_off);
        let outcome = match &answer {
            Ok(GatewayReply::NotAsked) => "not_asked",
            Ok(_) => "answered",
            Err(later) => later.failure.code,
        };
        metrics::called(call.call.operation(), outcome, started.elapsed());
        self.note(begun, &answer);
        let asked = match answer {
            Ok(GatewayReply::Nothing) => {
                let text = "the gateway has not come to an end with it".to_owned();
                Asked::Unanswered(Failure { code: "under_way", text })
            }
            Ok(answer) => Asked::Answered(answer),
            Err(Later { failure, unanswered: true }) => Asked::Unanswered(failure),
            Err(Later { failure, .. }) if failure.code == AWAY => Asked::Away(failure),
            Err(Later { failure, .. }) => Asked::Later(failure),
        };
        if let Asked::Unanswered(Failure { code, text }) | Asked::Later(Failure { code, text }) = &asked {
            let (order, tries, unknown) = (call.order_id, call.tries, matches!(asked, Asked::Unanswered(_)));
            tracing::warn!(order.id = %order, call = call.key, tries, unknown, code, text, "a call has no answer yet");
        }
        Settlement { call, asked }
    }

    /// Makes a call and settles it. If the result can't be recorded, it is due again when its lease ends.
    pub async fn perform(&self, call: TakenCall) -> anyhow::Result<Performed> {
        let made = self.make(call).await;
        let performed = self.settle(std::slice::from_ref(&made)).await?;
        Ok(performed.into_iter().next().unwrap_or(Performed::PutOff))
    }

    fn tell(&self, settled: &[Settlement]) {
        (self.settled)();
        if settled.iter().any(|one| matches!(one.asked, Asked::Answered(GatewayReply::ActionRequired { .. }))) {
            self.customers.nudge();
        }
    }

    /// What this call shows of the gateway.
    fn note(&self, begun: Begun, answer: &Result<GatewayReply, Later>) {
        match answer {
            Err(Later { failure, .. }) if failure.code == AWAY => self.server.unreachable(begun, &failure.text),
            Ok(GatewayReply::NotAsked) => self.server.not_called(),
            Err(Later { failure, .. }) if matches!(failure.code, "database" | "payment_svc") => {
                self.server.not_called()
            }
            // that it did not answer in time says too little
            Err(Later { unanswered: true, .. }) => {}
            Ok(_) | Err(_) => self.server.reached(),
        }
    }
}

impl<G: PaymentGateway> ExternalCalls for GatewayCalls<G> {
    type Call = TakenCall;
    type Made = Settlement;

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

    fn traced(&self, call: &TakenCall) -> Traced {
        Traced {
            asked_by: call.causation.traceparent.as_deref().and_then(trace::Context::parse),
            due: Some(call.due_at),
            what: calls::name_of(call.call.operation()),
            order: Some(call.order_id.0),
            tries: call.tries,
        }
    }

    fn failure(&self, made: &Settlement) -> Option<&'static str> {
        match &made.asked {
            Asked::Answered(_) => None,
            Asked::Unanswered(failure) | Asked::Later(failure) | Asked::Away(failure) => Some(failure.code),
        }
    }

    /// What is announced of its answer comes from the call itself.
    async fn make(&self, mut call: TakenCall) -> Settlement {
        call.causation.traceparent = trace::current_traceparent().or(call.causation.traceparent);
        self.ask_within(call).await
    }

    async fn settle(&self, made: &[Settlement]) -> anyhow::Result<Vec<Performed>> {
        let performed = commands::settle(&mut *self.pool.get().await?, made).await?;
        self.tell(made);
        Ok(performed)
    }

    async fn settle_unless_locked(&self, made: &[Settlement]) -> anyhow::Result<Vec<Performed>> {
        let performed = commands::settle_unless_locked(&mut *self.pool.get().await?, made).await?;
        self.tell(made);
        Ok(performed)
    }
}
