use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, OrderConfirmed};

use super::{conclude, skus};
use crate::store::{levels, roots};

/// Makes the hold firm. If it has expired, holds again, or says that the goods are gone.
pub(super) async fn commit(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    confirmed: &OrderConfirmed,
) -> Result<Handled, ReactionError> {
    let root = roots::lock_or_create(conn, confirmed.order_id).await?;
    let goods = root.goods.clone();
    let held_again = if goods.hold_expired() { goods.lines() } else { &[] };
    let levels = levels::lock(conn, skus(held_again)).await?;
    let decided = goods.confirm(&levels, root.new_parcel());
    conclude(conn, incoming, root, decided).await
}
