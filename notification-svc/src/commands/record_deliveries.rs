//! The second transaction of messages: it records what came of sending them, with the events that say so.

use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::consumer::ReactionError;
use service_kit::external_calls::Performed;
use service_kit::locks;
use service_kit::trace;
use shared_events::{EventId, NotificationId, OrderId};
use uuid::Uuid;

use crate::domain::{Channel, Verdict};
use crate::store::{self, Loaded};

#[derive(Clone, Debug)]
pub struct Tried {
    pub id: NotificationId,
    pub order: OrderId,
    /// The event that it tells of.
    pub event: Uuid,
    pub template: String,
    pub channel: Channel,
    /// Which try this was, from 1.
    pub attempt: i32,
    pub traceparent: Option<String>,
    pub verdict: Verdict,
}

/// Records what came of tries, all in one transaction. A notification that was done already, by a worker taken for
/// dead, stays as it is, and nothing is announced twice. If it fails, nothing is recorded; the notifications are due
/// again when their leases end.
pub async fn record_deliveries(conn: &mut AsyncPgConnection, tried: &[Tried]) -> anyhow::Result<Vec<Performed>> {
    let performed = conn.transaction(async |conn| record_in(conn, tried).await).await?;
    tried.iter().for_each(report);
    Ok(performed)
}

/// Like [`record_deliveries`], but fails with a lock timeout if an order stays locked for longer than a moment.
pub async fn record_unless_locked(conn: &mut AsyncPgConnection, tried: &[Tried]) -> anyhow::Result<Vec<Performed>> {
    let performed = conn.transaction(async |conn| {
        locks::wait_briefly(conn).await?;
        record_in(conn, tried).await
    });
    let performed = performed.await?;
    tried.iter().for_each(report);
    Ok(performed)
}

async fn record_in(conn: &mut AsyncPgConnection, tried: &[Tried]) -> anyhow::Result<Vec<Performed>> {
    let mut loaded = store::load_for_delivery(conn, tried.iter().map(|tried| tried.order)).await?;
    let span = |one: &Tried| one.traceparent.as_deref().and_then(trace::Context::parse);
    let record = |one: &Tried| {
        // What is announced comes from the span that sent it.
        let span = span(one).unwrap_or_else(|| trace::Context::child_of(None));
        trace::during(span, || record(&mut loaded, one))
    };
    let performed = tried.iter().map(record).collect::<anyhow::Result<Vec<_>>>()?;
    store::save(conn, loaded).await.map_err(ReactionError::from)?;
    Ok(performed)
}

fn record(loaded: &mut Loaded, tried: &Tried) -> anyhow::Result<Performed> {
    let mut order = loaded.order(tried.order)?.clone();
    let event = order.record(tried.id, tried.attempt, &tried.verdict);
    let performed = match tried.verdict {
        Verdict::PutBack { .. } | Verdict::PutOff { .. } => Performed::PutOff,
        _ if order.has_turn(tried.channel) => Performed::Done,
        _ => Performed::Last,
    };
    loaded.keep_and_announce(order, event.as_slice(), EventId(tried.event))?;
    Ok(performed)
}

fn report(tried: &Tried) {
    let Tried { order, template, channel, attempt, verdict, .. } = tried;
    let (channel, outcome) = (channel.as_str(), verdict.name());
    let labels = [("template", template.clone()), ("channel", channel.to_owned()), ("outcome", outcome.to_owned())];
    metrics::counter!("notifications_total", &labels).increment(1);
    match verdict {
        Verdict::Sent | Verdict::PutBack { .. } => {}
        Verdict::PutOff { wait, error } => {
            let next_attempt_seconds = wait.as_secs_f64();
            tracing::warn!(order.id = %order, template, channel, attempt, next_attempt_seconds, error, "a message was not taken");
        }
        Verdict::GivenUp { error } => {
            tracing::error!(order.id = %order, template, channel, error, "a message was given up");
        }
        Verdict::Suppressed { reason } => {
            tracing::info!(order.id = %order, template, channel, reason = reason.as_str(), "a message was not sent: it is no longer true");
        }
    }
}
