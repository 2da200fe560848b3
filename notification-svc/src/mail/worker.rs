use std::sync::Arc;
use std::time::Duration;

use service_kit::Pool;
use service_kit::circuit_breaker::CircuitBreaker;
use service_kit::external_calls::{ExternalCalls, Performed};
use shared_events::{NotificationId, OrderId};

use super::{Mail, MailSender};
use crate::commands::record_deliveries::{Tried, record_deliveries, record_unless_locked};
use crate::domain::{SendError, Verdict};
use crate::store::notifications::{Due, next_due, take_due};

/// The mails that are to be sent, for the kit's worker.
pub struct Deliveries {
    pool: Pool,
    sender: Arc<dyn MailSender>,
    server: CircuitBreaker,
    recorded: Box<dyn Fn() + Send + Sync>,
}

impl Deliveries {
    /// Mails from `pool`'s database through `sender`; `recorded` is called after outcomes were committed with their events.
    pub fn new(pool: Pool, sender: Arc<dyn MailSender>, recorded: impl Fn() + Send + Sync + 'static) -> Self {
        Self { pool, sender, server: CircuitBreaker::new("mail"), recorded: Box::new(recorded) }
    }

    pub const fn server(&self) -> &CircuitBreaker {
        &self.server
    }

    async fn send(&self, due: Due) -> Result<(), SendError> {
        let begun = self.server.begin();
        let outcome = self.sender.send(mail(due)).await;
        match &outcome {
            Err(SendError::Unavailable(cause)) => self.server.unreachable(begun, cause),
            Ok(()) | Err(SendError::Transient(_) | SendError::Permanent(_)) => self.server.reached(),
        }
        outcome
    }
}

impl ExternalCalls for Deliveries {
    type Call = Due;
    type Made = Tried;

    async fn take(&self, limit: usize) -> anyhow::Result<Vec<Due>> {
        let mut conn = self.pool.get().await?;
        Ok(take_due(&mut conn, i64::try_from(limit)?).await?)
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        Ok(next_due(&mut *self.pool.get().await?).await?)
    }

    async fn make(&self, due: Due) -> Tried {
        let (id, order, event) = (NotificationId(due.id), OrderId(due.order_id), due.event_id);
        let (template, attempt, traceparent) = (due.template.clone(), due.attempts, due.traceparent.clone());
        let verdict = match due.untrue() {
            Some(reason) => {
                self.server.not_called();
                Verdict::Suppressed { reason }
            }
            None => Verdict::of(attempt, self.send(due).await),
        };
        Tried { id, order, event, template, attempt, traceparent, verdict }
    }

    /// A crash after the server took the mail and before that is recorded sends it again, with the same Message-ID.
    async fn settle(&self, tried: &[Tried]) -> anyhow::Result<Vec<Performed>> {
        let performed = record_deliveries(&mut *self.pool.get().await?, tried).await?;
        (self.recorded)();
        Ok(performed)
    }

    async fn settle_unless_locked(&self, tried: &[Tried]) -> anyhow::Result<Vec<Performed>> {
        let performed = record_unless_locked(&mut *self.pool.get().await?, tried).await?;
        (self.recorded)();
        Ok(performed)
    }

    fn breaker(&self) -> Option<&CircuitBreaker> {
        Some(&self.server)
    }
}

fn mail(due: Due) -> Mail {
    Mail {
        id: NotificationId(due.id),
        order: OrderId(due.order_id),
        template: due.template,
        recipient: due.recipient,
        subject: due.subject,
        body: due.body,
        html: due.html,
    }
}
