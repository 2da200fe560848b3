use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, PaymentRefunded};

use crate::domain::{Fact, Templates};

/// Tells that money went back: one message a refund.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    incoming: &Incoming<Event>,
    refunded: &PaymentRefunded,
) -> Result<Handled, ReactionError> {
    super::tell::tell(conn, templates, incoming, refunded.order_id, Fact::from(refunded)).await
}
