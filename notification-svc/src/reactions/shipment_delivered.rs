use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, ShipmentDelivered};

use crate::domain::{Fact, Templates};

/// Tells that a parcel arrived.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    incoming: &Incoming<Event>,
    delivered: &ShipmentDelivered,
) -> Result<Handled, ReactionError> {
    super::tell::tell(conn, templates, incoming, delivered.order_id, Fact::Delivered).await
}
