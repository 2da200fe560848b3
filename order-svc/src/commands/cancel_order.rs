use service_kit::Pool;
use shared_events::OrderId;

use super::ChangeOrderError;
use super::change_order::{ByStaff, change_order, change_order_by_staff};
use crate::domain::{NoteText, Order, StaffReason};
use crate::store::Root;

/// Moves the order to `cancelling` and asks stock-svc for the goods. Repeating it says nothing new.
pub async fn cancel_order(pool: &Pool, id: OrderId) -> Result<Order, ChangeOrderError> {
    let decide = |root: &Root| {
        let step = root.progress.clone().cancel()?;
        Ok((step.0 != root.progress).then(|| step.into()))
    };
    change_order(pool, id, decide).await
}

/// The same, by staff, with a note of who it was and why. Repeating it says nothing new; what is said with it is noted each time.
pub async fn cancel_by_staff(
    pool: &Pool,
    id: OrderId,
    author: Option<&str>,
    reason: StaffReason,
    said: Option<&NoteText>,
) -> Result<Order, ChangeOrderError> {
    let note = NoteText::of_action("Cancelled", Some(reason.as_str()), said);
    let by = ByStaff { author, note, says_more: said.is_some() };
    change_order_by_staff(pool, id, by, |progress, _| progress.cancel_by_staff(reason)).await
}
