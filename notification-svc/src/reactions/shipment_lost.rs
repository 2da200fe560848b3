use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, ShipmentLost};

use crate::domain::{Fact, Templates};

/// Tells that a parcel was lost, and that its money comes back.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    incoming: &Incoming<Event>,
    lost: &ShipmentLost,
) -> Result<Handled, ReactionError> {
    super::tell::tell(conn, templates, incoming, lost.order_id, Fact::Lost).await
}
