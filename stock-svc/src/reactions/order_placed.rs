use std::time::Duration;

use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, OrderPlaced};

use super::{conclude, skus};
use crate::domain::lines_of;
use crate::store::{levels, roots};

/// Holds stock for a placed order, all lines or none, and announces the outcome.
pub(super) async fn hold(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    placed: &OrderPlaced,
    ttl: Duration,
) -> Result<Handled, ReactionError> {
    let root = roots::lock_or_create(conn, placed.order_id).await?;
    let lines = lines_of(placed);
    let levels = levels::lock(conn, skus(&lines)).await?;
    let decided = root.goods.clone().to(placed.delivery_address.clone()).place(lines, &levels, root.now + ttl);
    conclude(conn, incoming, root, decided).await
}
