use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, ShipmentDispatched};

use crate::domain::{Fact, Templates};

/// Tells that a parcel left, with carrier and tracking number.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    incoming: &Incoming<Event>,
    dispatched: &ShipmentDispatched,
) -> Result<Handled, ReactionError> {
    super::tell::tell(conn, templates, incoming, dispatched.order_id, Fact::from(dispatched)).await
}
