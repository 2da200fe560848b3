use super::Circumstances;
use crate::domain::{Allocation, Change, Refused};

/// Calls off every shipment that has not left. The race between a call-off and a dispatch is decided here.
pub(super) fn call_off(allocation: Allocation, by: &Circumstances<'_>) -> Result<Change, Refused> {
    allocation.call_off(None, by.now)
}
