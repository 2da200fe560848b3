use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, OrderCancelled};

use crate::{
    domain::{Fact, Templates},
    store::roots,
};

/// Tells that the order has ended, and why. It comes last: goods and money are back.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    incoming: &Incoming<Event>,
    cancelled: &OrderCancelled,
) -> Result<Handled, ReactionError> {
    super::order_ending::note(conn, cancelled.order_id, true).await?;
    let names = roots::line_names(conn, cancelled.order_id).await?;
    let fact = Fact::cancelled(cancelled, &names);
    super::tell::tell(conn, templates, incoming, cancelled.order_id, fact).await
}
