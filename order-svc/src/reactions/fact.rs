use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError, Why};
use service_kit::timers;
use shared_events::{Event, EventId, OrderId};

use crate::commands::DEADLINE_TIMER;
use crate::domain::{Progress, Refused, Status, Step};
use crate::store;

/// Hears a fact: the order records it, its status follows, and what that leads to is said.
pub async fn hear(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    hear: impl FnOnce(Progress) -> Result<Step, Refused> + Send,
) -> Result<Handled, ReactionError> {
    let Some(order_id) = incoming.event.correlation().map(OrderId) else {
        return Ok(Handled::Ignored(Why::NotForUs));
    };
    let Some(mut root) = store::roots::lock(conn, order_id).await? else {
        return Ok(Handled::Ignored(Why::refused("there is no such order")));
    };
    if !incoming.envelope.sequence.is_none_or(|sequence| root.ranks.note(incoming.event.topic(), sequence)) {
        return Ok(Handled::Ignored(Why::Stale));
    }
    let before = root.progress.status;
    let says = match hear(root.progress.clone()) {
        Ok((progress, says)) => {
            root.progress = progress;
            says
        }
        Err(refused) => return Ok(Handled::Ignored(Why::refused(refused.to_string()))),
    };
    store::roots::announce(conn, &mut root, &says, Some(EventId(incoming.envelope.id))).await?;
    if before == Status::Pending && root.progress.status != Status::Pending {
        timers::cancel(conn, DEADLINE_TIMER, &order_id.to_string()).await?;
    }
    Ok(Handled::Applied)
}
