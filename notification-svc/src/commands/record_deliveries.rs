//! The second transaction of mails: it records what came of sending them, with the events that say so.

use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::consumer::ReactionError;
use service_kit::external_calls::Performed;
use service_kit::locks;
use service_kit::trace;
use shared_events::{EventId, NotificationId, OrderId};
use uuid::Uuid;

use crate::domain::Verdict;
use crate::store::{self, Loaded};

#[derive(Clone, Debug)]
pub struct Tried {
    pub id: NotificationId,
    pub order: OrderId,
    /// The event that it tells of.
    pub event: Uuid,
    pub template: String,
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
    let record = |one: &Tried| trace::during(one.traceparent.as_deref(), || record(&mut loaded, one));
    let performed = tried.iter().map(record).collect::<anyhow::Result<Vec<_>>>()?;
    store::save(conn, loaded).await.map_err(ReactionError::from)?;
    Ok(performed)
}

fn record(loaded: &mut Loaded, tried: &Tried) -> anyhow::Result<Performed> {
    let mut order = loaded.order(tried.order)?.clone();
    let event = order.record(tried.id, tried.attempt, &tried.verdict);
    let performed = match tried.verdict {
        Verdict::PutBack { .. } | Verdict::PutOff { .. } => Performed::PutOff,
        _ if order.has_turn() => Performed::Done,
        _ => Performed::Last,
    };
    match event {
        Some(event) => loaded.keep_and_announce(order, event, EventId(tried.event))?,
        None => loaded.keep(order)?,
    }
    Ok(performed)
}

fn report(tried: &Tried) {
    let Tried { order, template, attempt, verdict, .. } = tried;
    metrics::counter!("mails_total", "template" => template.clone(), "outcome" => verdict.name()).increment(1);
    match verdict {
        Verdict::Sent | Verdict::PutBack { .. } => {}
        Verdict::PutOff { wait, error } => {
            let next_attempt_seconds = wait.as_secs_f64();
            tracing::warn!(order.id = %order, template, attempt, next_attempt_seconds, error, "a mail was not taken");
        }
        Verdict::GivenUp { error } => {
            tracing::error!(order.id = %order, template, error, "a mail was given up");
        }
        Verdict::Suppressed { reason } => {
            tracing::info!(order.id = %order, template, reason = reason.as_str(), "a mail was not sent: it is no longer true");
        }
    }
}
