use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, OrderAddressChanged};

use crate::domain::{Fact, Templates};

/// Tells where the order goes now; whoever did not ask for that should know soon.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    incoming: &Incoming<Event>,
    changed: &OrderAddressChanged,
) -> Result<Handled, ReactionError> {
    super::tell::tell(conn, templates, incoming, changed.order_id, Fact::from(changed)).await
}
