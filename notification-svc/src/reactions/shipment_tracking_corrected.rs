use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, ShipmentTrackingCorrected};

use crate::domain::{Fact, Templates};

/// Tells where a parcel is to be followed, since what was told before is wrong.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    incoming: &Incoming<Event>,
    corrected: &ShipmentTrackingCorrected,
) -> Result<Handled, ReactionError> {
    super::tell::tell(conn, templates, incoming, corrected.order_id, Fact::from(corrected)).await
}
