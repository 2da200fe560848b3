use service_kit::Pool;
use shared_events::{LineText, OrderId};

use super::ChangeOrderError;
use super::change_order::{ByStaff, change_order_by_staff};
use crate::domain::{NoteText, Order};

/// Has a pending order wait for the review of staff, with a note of who it was and why. Repeating it says and notes nothing new.
pub async fn hold_order(
    pool: &Pool,
    id: OrderId,
    author: Option<&str>,
    reason: LineText,
) -> Result<Order, ChangeOrderError> {
    let note = NoteText::of_action("Held for review", Some(reason.as_str()), None);
    let by = ByStaff { author, note, says_more: false };
    change_order_by_staff(pool, id, by, |progress, now| progress.hold(reason, now)).await
}

/// Lets an order go on that staff hold, with a note of who it was. Repeating it says and notes nothing new.
pub async fn release_order(pool: &Pool, id: OrderId, author: Option<&str>) -> Result<Order, ChangeOrderError> {
    let by = ByStaff { author, note: NoteText::of_action("Released", None, None), says_more: false };
    change_order_by_staff(pool, id, by, |progress, _| progress.release()).await
}
