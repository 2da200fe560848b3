use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, OrderPlaced};

use crate::{
    commands::heard,
    domain::Charge,
    store::{payments, roots},
};

/// Notes amount and method of a placed order; the gateway is asked once the goods are held, which may have been heard
/// first.
pub async fn note(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    placed: &OrderPlaced,
) -> Result<Handled, ReactionError> {
    let mut root = roots::lock_or_create(conn, placed.order_id).await?;
    let charge = Charge::of(placed);
    payments::note_charge(conn, placed.order_id, &charge).await?;
    let step = root.payment.placed(charge);
    heard(conn, incoming, root, step).await
}
