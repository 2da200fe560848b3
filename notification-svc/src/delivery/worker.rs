use std::sync::Arc;
use std::time::Duration;

use service_kit::Pool;
use service_kit::auth::GuestLinks;
use service_kit::circuit_breaker::CircuitBreaker;
use service_kit::external_calls::{ExternalCalls, Performed, Traced};
use service_kit::trace;
use shared_events::{NotificationId, OrderId};

use super::{Message, Sender};
use crate::commands::record_deliveries::{Tried, record_deliveries, record_unless_locked};
use crate::domain::{Channel, LINK_TOKEN, SendError, Verdict};
use crate::store::notifications::{Due, next_due, take_due};

/// The messages of one channel that are to be sent, for the kit's worker.
pub struct Deliveries {
    pool: Pool,
    channel: Channel,
    sender: Arc<dyn Sender>,
    server: CircuitBreaker,
    guests: Option<GuestLinks>,
    recorded: Box<dyn Fn() + Send + Sync>,
}

impl Deliveries {
    /// A channel's messages from `pool`'s database through `sender`; `recorded` is called after outcomes were committed with
    /// their events.
    pub fn new(
        pool: Pool,
        channel: Channel,
        sender: Arc<dyn Sender>,
        recorded: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let server = CircuitBreaker::new(server_name(channel));
        Self { pool, channel, sender, server, guests: None, recorded: Box::new(recorded) }
    }

    /// Signs the links of guests that messages have.
    #[must_use]
    pub fn with_guest_links(self, guests: Option<GuestLinks>) -> Self {
        Self { guests, ..self }
    }

    pub const fn server(&self) -> &CircuitBreaker {
        &self.server
    }

    async fn send(&self, due: Due) -> Result<(), SendError> {
        let recipient = due.recipient.clone();
        let message = self.message(due);
        let begun = self.server.begin();
        let outcome = self.sender.send(message).await.map_err(|error| error.without(&recipient));
        match &outcome {
            Err(SendError::Unavailable(cause)) => self.server.unreachable(begun, cause),
            Ok(())
            | Err(SendError::Transient(_) | SendError::Busy { .. } | SendError::Unclear(_) | SendError::Permanent(_)) =>
            {
                self.server.reached();
            }
        }
        outcome
    }

    /// What goes out. The token of a guest's link gets its place here, so that it is in the message alone.
    fn message(&self, due: Due) -> Message {
        let mut message = Message {
            id: NotificationId(due.id),
            order: OrderId(due.order_id),
            template: due.template,
            recipient: due.recipient,
            subject: due.subject,
            body: due.body,
            html: due.html,
            traceparent: trace::current_traceparent().or(due.traceparent),
        };
        let hole = format!("?token={LINK_TOKEN}");
        if message.body.contains(&hole) {
            // without a secret any more the link stays one to the order, for whoever may see it otherwise
            let token = self.guests.as_ref().and_then(|guests| guests.token(due.order_id));
            let filled = token.map(|token| format!("?token={token}")).unwrap_or_default();
            message.body = message.body.replace(&hole, &filled);
            message.html = message.html.map(|html| html.replace(&hole, &filled));
        }
        message
    }
}

/// What logs, metrics and `/readyz` call a channel's server.
pub const fn server_name(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "mail",
        Channel::Sms => "sms",
        Channel::Push => "push",
    }
}

impl ExternalCalls for Deliveries {
    type Call = Due;
    type Made = Tried;

    async fn take(&self, limit: usize) -> anyhow::Result<Vec<Due>> {
        let mut conn = self.pool.get().await?;
        Ok(take_due(&mut conn, self.channel, i64::try_from(limit)?).await?)
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        Ok(next_due(&mut *self.pool.get().await?, self.channel).await?)
    }

    /// One that is tried again has waited for its turn, and for the server, too: its wait is not told.
    fn traced(&self, due: &Due) -> Traced {
        Traced {
            asked_by: due.traceparent.as_deref().and_then(trace::Context::parse),
            due: (due.attempts == 1).then_some(due.created_at),
            what: "send",
            order: Some(due.order_id),
            tries: due.attempts.unsigned_abs(),
        }
    }

    fn failure(&self, tried: &Tried) -> Option<&'static str> {
        match &tried.verdict {
            Verdict::Sent | Verdict::Suppressed { .. } => None,
            Verdict::PutBack { .. } | Verdict::PutOff { .. } | Verdict::GivenUp { .. } => Some(tried.verdict.name()),
        }
    }

    async fn make(&self, due: Due) -> Tried {
        let (id, order, event) = (NotificationId(due.id), OrderId(due.order_id), due.event_id);
        let (template, attempt) = (due.template.clone(), due.attempts);
        let traceparent = trace::current_traceparent().or_else(|| due.traceparent.clone());
        let verdict = match due.untrue() {
            Some(reason) => {
                self.server.not_called();
                Verdict::Suppressed { reason }
            }
            None => Verdict::of(attempt, self.send(due).await),
        };
        Tried { id, order, event, template, channel: self.channel, attempt, traceparent, verdict }
    }

    /// A crash after the server took the message and before that is recorded sends it again, with the same id.
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
