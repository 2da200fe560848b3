use shared_events::OrderCancelRequested;

use super::Circumstances;
use crate::domain::{Allocation, Change, Refused};

/// Gives the goods back, unless they have left: this is where cancel and dispatch are decided.
pub(super) fn give_back(
    allocation: Allocation,
    request: &OrderCancelRequested,
    by: &Circumstances<'_>,
) -> Result<Change, Refused> {
    allocation.cancel(request.reason, by.now)
}
