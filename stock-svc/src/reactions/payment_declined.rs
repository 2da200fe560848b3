use shared_events::CancelReason;

use crate::domain::{Allocation, Change, Refused};

/// Releases the stock, held or expired, since nobody will pay for it.
pub(super) fn release(allocation: Allocation) -> Result<Change, Refused> {
    allocation.release(CancelReason::PaymentDeclined)
}
