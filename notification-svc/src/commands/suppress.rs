//! Instead of a mail that is no longer true: the event that says that it was not sent.

use diesel_async::AsyncConnection;
use service_kit::Pool;
use shared_events::{EventId, NotificationSuppressed, SuppressReason};

use super::record_delivery::Try;
use crate::domain::CHANNEL;
use crate::store::{notifications, roots};

/// Suppresses a message that was taken to be sent. One that was done with already, or that another worker has taken since,
/// stays as it is.
///
/// # Errors
/// The database's; the message is due again when its lease is over.
pub async fn suppress(pool: &Pool, this: &Try, reason: SuppressReason) -> anyhow::Result<()> {
    let event = NotificationSuppressed {
        order_id: this.order,
        notification_id: this.id,
        template: this.template.clone(),
        channel: CHANNEL.to_owned(),
        reason,
    };
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let mut root = roots::lock_or_create(conn, this.order).await?;
        if notifications::mark_suppressed(conn, this.id, this.attempt, reason.as_str()).await? {
            notifications::pass_turn(conn, this.order).await?;
            roots::announce(conn, &mut root, vec![event.into()], Some(EventId(this.event))).await?;
        }
        anyhow::Ok(())
    })
    .await?;
    metrics::counter!("mails_total", "template" => this.template.clone(), "outcome" => "suppressed").increment(1);
    tracing::info!(order.id = %this.order, template = this.template, reason = reason.as_str(), "a mail was not sent: it is no longer true");
    Ok(())
}
