use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError, Why};
use shared_events::{Event, StockAddressDecided, Topic};

use super::fact::ignored;
use crate::store;

/// Hears what stock-svc made of a change of address: tells where the order goes now, and what of it doesn't.
pub async fn tell(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    decided: &StockAddressDecided,
) -> Result<Handled, ReactionError> {
    let heard = &incoming.envelope;
    let missing = || Ok(Handled::Ignored(Why::refused("there is no such order")));
    let Some(mut root) = store::roots::lock(conn, decided.order_id).await? else { return missing() };
    let Some(order) = store::orders::find(conn, decided.order_id).await? else { return missing() };
    if !heard.sequence.is_none_or(|sequence| root.ranks.note(Topic::Stock, sequence)) {
        return ignored(conn, &mut root, heard, Why::Stale).await;
    }
    match order.address_decided(decided) {
        Ok((order, says)) => {
            store::orders::send_to(conn, decided.order_id, &order.destination).await?;
            store::roots::announce(conn, &mut root, &says, Some(heard)).await?;
            Ok(Handled::Applied)
        }
        Err(refused) => ignored(conn, &mut root, heard, Why::refused(refused.to_string())).await,
    }
}
