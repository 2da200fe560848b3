use shared_events::OrderCancelRequested;

use super::Circumstances;
use crate::domain::{Allocation, Change, Refused};

/// Releases or restocks unless a shipment has left. The race between cancellation and dispatch is decided here.
pub(super) fn give_back(
    allocation: Allocation,
    request: &OrderCancelRequested,
    by: &Circumstances<'_>,
) -> Result<Change, Refused> {
    allocation.cancel(request.reason, by.now)
}
