use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, OrderPlaced};

use super::tell::tell_under;
use crate::domain::{Fact, Templates};
use crate::store::roots::Root;
use crate::store::{notifications, roots};

/// Keeps whom to write to, writes the letters that waited for it, and tells that the order was accepted.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    incoming: &Incoming<Event>,
    placed: &OrderPlaced,
) -> Result<Handled, ReactionError> {
    let mut root = roots::lock_or_create(conn, placed.order_id).await?;
    roots::keep_contact(conn, &mut root, &placed.customer).await?;
    roots::keep_line_names(conn, &root, &placed.lines).await?;
    write_what_waited(conn, templates, &root).await?;
    tell_under(conn, templates, incoming, &root, Fact::from(placed)).await
}

async fn write_what_waited(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    root: &Root,
) -> Result<(), ReactionError> {
    let Some((name, address)) = root.contact() else { return Ok(()) };
    let names = roots::line_names(conn, root.order_id()).await?;
    for (id, fact) in notifications::waiting(conn, root.order_id()).await? {
        let fact: Fact = serde_json::from_value(fact).map_err(ReactionError::permanent)?;
        let letter = templates.write(root.order_id(), name, &fact.named(&names)).map_err(ReactionError::permanent)?;
        notifications::write(conn, id, address, &letter).await?;
    }
    notifications::pass_turn(conn, root.order_id()).await?;
    Ok(())
}
