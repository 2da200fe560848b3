use shared_events::OrderCancelRequested;

use super::Circumstances;
use crate::domain::{Change, Goods, Refused};

/// Gives the goods back, unless they have left: this is where cancel and dispatch are decided.
pub(super) fn give_back(
    goods: Goods,
    request: &OrderCancelRequested,
    by: &Circumstances<'_>,
) -> Result<Change, Refused> {
    goods.cancel(request.reason, by.now)
}
