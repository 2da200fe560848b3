use anyhow::anyhow;
use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, OrderAddressChangeRequested, OrderAddressChanged};

use super::conclude;
use crate::store::roots;

/// What is still there goes to the order's new address.
pub(super) async fn readdress(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    changed: &OrderAddressChanged,
) -> Result<Handled, ReactionError> {
    let root = roots::lock_or_create(conn, changed.order_id).await?;
    let decided = root.goods.clone().readdress(&changed.delivery_address, sequence(incoming)?);
    conclude(conn, incoming, root, decided).await
}

/// What is still there goes to the address that is asked for, and what has left does not: this is where a change of address
/// and a dispatch are decided.
pub(super) async fn decide(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    request: &OrderAddressChangeRequested,
) -> Result<Handled, ReactionError> {
    let root = roots::lock_or_create(conn, request.order_id).await?;
    let decided = root.goods.clone().decide_address(&request.delivery_address, sequence(incoming)?);
    conclude(conn, incoming, root, decided).await
}

/// Its place among what was said of the order: a change that is sent once more must not undo a later one.
fn sequence(incoming: &Incoming<Event>) -> Result<i64, ReactionError> {
    let missing = || ReactionError::permanent(anyhow!("a change of address without ce_sequence can't be ranked"));
    incoming.envelope.sequence.ok_or_else(missing)
}
