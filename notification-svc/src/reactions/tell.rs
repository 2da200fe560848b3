//! What all reactions share: one message for one fact.

use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, NotificationId, OrderId};

use crate::domain::{Fact, Templates};
use crate::store::notifications::{self, NewNotification};
use crate::store::roots::{self, Root};

/// Queues the message that tells of `fact`; the fact alone while the customer isn't known. No mail is sent here: the
/// worker does that once this transaction has committed.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    incoming: &Incoming<Event>,
    order: OrderId,
    fact: Fact,
) -> Result<Handled, ReactionError> {
    let root = roots::lock_or_create(conn, order).await?;
    tell_under(conn, templates, incoming, &root, fact).await
}

/// The same, under a root that is locked already.
pub(super) async fn tell_under(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    incoming: &Incoming<Event>,
    root: &Root,
    fact: Fact,
) -> Result<Handled, ReactionError> {
    let contact = root.contact();
    let letter = contact.map(|(name, _)| templates.write(root.order_id(), name, &fact)).transpose();
    let letter = letter.map_err(ReactionError::permanent)?;
    let kept = if letter.is_none() { Some(serde_json::to_value(&fact)) } else { None };
    let new = NewNotification {
        id: NotificationId::new().0,
        order_id: root.order_id().0,
        template: fact.template().name(),
        event_id: incoming.envelope.id,
        happened_at: incoming.envelope.time,
        fact: kept.transpose().map_err(ReactionError::permanent)?,
        recipient: contact.map(|(_, address)| address),
        subject: letter.as_ref().map(|letter| letter.subject.as_str()),
        body: letter.as_ref().map(|letter| letter.body.as_str()),
        traceparent: service_kit::trace::current_traceparent(),
    };
    if !notifications::insert(conn, &new).await? {
        return Ok(Handled::Duplicate);
    }
    if let Some(letter) = &letter {
        notifications::keep_html(conn, new.id, letter).await?;
    }
    notifications::pass_turn(conn, root.order_id()).await?;
    Ok(Handled::Applied)
}
