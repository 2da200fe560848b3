use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, OrderCancelRefused};

use crate::domain::{Fact, Templates};

/// Tells that the order goes on although it was to be cancelled: only the customer's wish can meet a parcel that has left,
/// since nothing leaves before it is paid and its goods are firm.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    incoming: &Incoming<Event>,
    refused: &OrderCancelRefused,
) -> Result<Handled, ReactionError> {
    super::order_ending::note(conn, refused.order_id, false).await?;
    super::tell::tell(conn, templates, incoming, refused.order_id, Fact::CancelRefused).await
}
