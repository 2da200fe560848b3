use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Envelope, Handled, Incoming, ReactionError, Why};
use service_kit::timers;
use shared_events::{Event, OrderId};

use crate::commands::DEADLINE_TIMER;
use crate::domain::{Progress, Refused, Status, Step};
use crate::store::{self, Root};

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
    let heard = &incoming.envelope;
    if !heard.sequence.is_none_or(|sequence| root.ranks.note(incoming.event.topic(), sequence)) {
        return ignored(conn, &mut root, heard, Why::Stale).await;
    }
    let before = root.progress.status;
    let says = match hear(root.progress.clone()) {
        Ok((progress, says)) => {
            root.progress = progress;
            says
        }
        Err(refused) => return ignored(conn, &mut root, heard, Why::refused(refused.to_string())).await,
    };
    store::roots::announce(conn, &mut root, &says, Some(heard)).await?;
    if before == Status::Pending && root.progress.status != Status::Pending {
        timers::cancel(conn, DEADLINE_TIMER, &order_id.to_string()).await?;
    }
    Ok(Handled::Applied)
}

/// It changes nothing, which the order's history tells too.
pub(super) async fn ignored(
    conn: &mut AsyncPgConnection,
    root: &mut Root,
    heard: &Envelope,
    why: Why,
) -> Result<Handled, ReactionError> {
    store::roots::note_ignored(conn, root, heard, why.to_string()).await?;
    Ok(Handled::Ignored(why))
}
