use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, OrderAddressChangeRefused};

use crate::domain::{Fact, Templates};

/// Tells that a change of address came too late, for parcels that had left or for the whole order.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    incoming: &Incoming<Event>,
    refused: &OrderAddressChangeRefused,
) -> Result<Handled, ReactionError> {
    let fact = Fact::AddressChangeRefused { left: refused.shipments.len() };
    super::tell::tell(conn, templates, incoming, refused.order_id, fact).await
}
