use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, OrderCallOffRequested};

use super::conclude;
use crate::store::roots;

/// Calls off every parcel that has not left: this is where a call-off and a dispatch are decided.
pub(super) async fn call_off(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    request: &OrderCallOffRequested,
) -> Result<Handled, ReactionError> {
    let root = roots::lock_or_create(conn, request.order_id).await?;
    let decided = root.goods.clone().call_off(None, root.now);
    conclude(conn, incoming, root, decided).await
}
