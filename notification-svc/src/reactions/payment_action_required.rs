use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, PaymentActionRequired};

use crate::domain::{Fact, Templates};

/// Tells that the bank waits for its customer, and until when.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    incoming: &Incoming<Event>,
    required: &PaymentActionRequired,
) -> Result<Handled, ReactionError> {
    super::tell::tell(conn, templates, incoming, required.order_id, Fact::from(required)).await
}
