use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, OrderCallOffRefused};

use crate::domain::{Fact, Templates};

/// Tells that the rest had left when it was to be called off.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    incoming: &Incoming<Event>,
    refused: &OrderCallOffRefused,
) -> Result<Handled, ReactionError> {
    super::tell::tell(conn, templates, incoming, refused.order_id, Fact::CallOffRefused).await
}
