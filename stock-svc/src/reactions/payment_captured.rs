use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, PaymentCaptured};

use super::conclude;
use crate::store::roots;

/// Creates the shipment once the goods are firm. Heard before that, the capture is remembered.
pub(super) async fn create_shipment(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    captured: &PaymentCaptured,
) -> Result<Handled, ReactionError> {
    let root = roots::lock_or_create(conn, captured.order_id).await?;
    let decided = root.goods.clone().capture(root.new_parcel());
    conclude(conn, incoming, root, decided).await
}
