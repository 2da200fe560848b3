use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, OrderCancelRequested};

use super::conclude;
use crate::store::roots;

/// Gives the goods back, unless they have left: this is where cancel and dispatch are decided.
pub(super) async fn give_back(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    request: &OrderCancelRequested,
) -> Result<Handled, ReactionError> {
    let root = roots::lock_or_create(conn, request.order_id).await?;
    let decided = root.goods.clone().cancel(request.reason, root.now);
    conclude(conn, incoming, root, decided).await
}
