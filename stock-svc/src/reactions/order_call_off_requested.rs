use super::Circumstances;
use crate::domain::{Allocation, Change, Refused};

/// Calls off every parcel that has not left: this is where a call-off and a dispatch are decided.
pub(super) fn call_off(allocation: Allocation, by: &Circumstances<'_>) -> Result<Change, Refused> {
    allocation.call_off(None, by.now)
}
