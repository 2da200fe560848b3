use shared_events::CancelReason;

use crate::domain::{Allocation, Change, Refused};

/// Gives back what is held, or was until it expired, since nobody will pay for it.
pub(super) fn release(allocation: Allocation) -> Result<Change, Refused> {
    allocation.release(CancelReason::PaymentDeclined)
}
