use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, OrderConfirmed};

use crate::domain::{Fact, Templates};

/// Tells that goods and money are arranged.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    incoming: &Incoming<Event>,
    confirmed: &OrderConfirmed,
) -> Result<Handled, ReactionError> {
    super::tell::tell(conn, templates, incoming, confirmed.order_id, Fact::Confirmed).await
}
