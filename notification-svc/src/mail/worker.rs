use std::sync::Arc;
use std::time::Duration;

use service_kit::Pool;
use service_kit::circuit_breaker::CircuitBreaker;
use service_kit::external_calls::{ExternalCalls, Performed};
use service_kit::trace;
use shared_events::{NotificationId, OrderId};

use super::{Mail, MailSender};
use crate::commands::record_delivery::{Try, record_delivery};
use crate::commands::suppress::suppress;
use crate::domain::SendError;
use crate::store::notifications::{Due, next_due, take_due};

/// The mails that are to be sent, for the kit's worker: takes what is due, has it sent, records what came of it.
pub struct Deliveries {
    pool: Pool,
    sender: Arc<dyn MailSender>,
    server: CircuitBreaker,
    recorded: Box<dyn Fn() + Send + Sync>,
}

impl Deliveries {
    /// Mails from `pool`'s database through `sender`; `recorded` is called after an outcome was committed with its event.
    pub fn new(pool: Pool, sender: Arc<dyn MailSender>, recorded: impl Fn() + Send + Sync + 'static) -> Self {
        Self { pool, sender, server: CircuitBreaker::new("mail"), recorded: Box::new(recorded) }
    }

    /// What is known of the mail server.
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

    async fn take(&self, limit: usize) -> anyhow::Result<Vec<Due>> {
        let mut conn = self.pool.get().await?;
        Ok(take_due(&mut conn, i64::try_from(limit)?).await?)
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        Ok(next_due(&mut *self.pool.get().await?).await?)
    }

    /// A crash after the server took the mail and before that is recorded sends it again, with the same Message-ID.
    async fn perform(&self, due: Due) -> anyhow::Result<Performed> {
        let attempt = Try {
            id: NotificationId(due.id),
            order: OrderId(due.order_id),
            event: due.event_id,
            template: due.template.clone(),
            attempt: due.attempts,
        };
        let traceparent = due.traceparent.clone();
        if let Some(reason) = due.untrue() {
            self.server.not_called();
            trace::within(traceparent.as_deref(), suppress(&self.pool, &attempt, reason)).await?;
            (self.recorded)();
            return Ok(Performed::Done);
        }
        let outcome = self.send(due).await;
        let performed = trace::within(traceparent.as_deref(), record_delivery(&self.pool, &attempt, outcome)).await?;
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
