//! The second transaction of a mail: what came of sending it, and the event that says so.

use std::time::Duration;

use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::{Pool, external_calls::Performed};
use shared_events::{Event, EventId, NotificationFailed, NotificationId, NotificationSent, OrderId};
use uuid::Uuid;

use crate::domain::{CHANNEL, Next, SendError, after_failure};
use crate::store::{notifications, roots};

/// One try to send one message.
#[derive(Clone, Debug)]
pub struct Try {
    /// The message.
    pub id: NotificationId,
    /// Its order.
    pub order: OrderId,
    /// The event that it tells of.
    pub event: Uuid,
    /// Its text.
    pub template: String,
    /// Which try this was, from 1.
    pub attempt: i32,
}

/// Records the outcome of a try: sent, put back since the server is away, to be tried again, or given up. A message that was done with already (by a worker
/// that was taken for dead) stays as it is, and nothing is announced twice.
///
/// # Errors
/// The database's; the message is due again when its lease is over.
pub async fn record_delivery(pool: &Pool, this: &Try, outcome: Result<(), SendError>) -> anyhow::Result<Performed> {
    let mut conn = pool.get().await?;
    let counted = conn
        .transaction(async |conn| match &outcome {
            Ok(()) => sent(conn, this).await,
            Err(error) => match after_failure(this.attempt, error) {
                Next::WhenServerIsBack => put_back(conn, this, &error.to_string()).await,
                Next::Again { wait } => put_off(conn, this, wait, &error.to_string()).await,
                Next::GiveUp => given_up(conn, this, &error.to_string()).await,
            },
        })
        .await?;
    metrics::counter!("mails_total", "template" => this.template.clone(), "outcome" => counted).increment(1);
    Ok(if matches!(counted, "server_away" | "put_off") { Performed::PutOff } else { Performed::Done })
}

async fn put_back(conn: &mut AsyncPgConnection, this: &Try, error: &str) -> anyhow::Result<&'static str> {
    notifications::note_failure(conn, this.id, this.attempt, "server_away").await?;
    notifications::put_back(conn, this.id, this.attempt, error).await?;
    Ok("server_away")
}

async fn put_off(
    conn: &mut AsyncPgConnection,
    this: &Try,
    wait: Duration,
    error: &str,
) -> anyhow::Result<&'static str> {
    let next_attempt_seconds = wait.as_secs_f64();
    notifications::try_again(conn, this.id, this.attempt, next_attempt_seconds, error).await?;
    notifications::note_failure(conn, this.id, this.attempt, "refused_for_now").await?;
    let (template, attempt) = (this.template.as_str(), this.attempt);
    tracing::warn!(order.id = %this.order, template, attempt, next_attempt_seconds, error, "a mail was not taken");
    Ok("put_off")
}

async fn sent(conn: &mut AsyncPgConnection, this: &Try) -> anyhow::Result<&'static str> {
    let event = NotificationSent {
        order_id: this.order,
        notification_id: this.id,
        template: this.template.clone(),
        channel: CHANNEL.to_owned(),
    };
    let mut root = roots::lock_or_create(conn, this.order).await?;
    if notifications::mark_sent(conn, this.id).await? {
        notifications::pass_turn(conn, this.order).await?;
        announce(conn, &mut root, this, event.into()).await?;
    }
    Ok("sent")
}

async fn given_up(conn: &mut AsyncPgConnection, this: &Try, error: &str) -> anyhow::Result<&'static str> {
    let event = NotificationFailed {
        order_id: this.order,
        notification_id: this.id,
        template: this.template.clone(),
        channel: CHANNEL.to_owned(),
        error: error.to_owned(),
    };
    let mut root = roots::lock_or_create(conn, this.order).await?;
    if notifications::mark_failed(conn, this.id, this.attempt, error).await? {
        tracing::error!(order.id = %this.order, template = this.template, error, "a mail was given up");
        notifications::pass_turn(conn, this.order).await?;
        announce(conn, &mut root, this, event.into()).await?;
    }
    Ok("failed")
}

async fn announce(
    conn: &mut AsyncPgConnection,
    root: &mut roots::Root,
    this: &Try,
    event: Event,
) -> anyhow::Result<()> {
    roots::announce(conn, root, vec![event], Some(EventId(this.event))).await
}
