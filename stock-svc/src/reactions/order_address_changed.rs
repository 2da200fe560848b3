use shared_events::{OrderAddressChangeRequested, OrderAddressChanged};

use super::Circumstances;
use crate::domain::{Allocation, Change, Refused};

/// Everything that is still here takes the order's new address.
pub(super) fn readdress(
    allocation: Allocation,
    changed: &OrderAddressChanged,
    by: &Circumstances<'_>,
) -> Result<Change, Refused> {
    allocation.readdress(&changed.delivery_address, by.sequence)
}

/// What has not left takes the requested address. The race between a change of address and a dispatch is decided here.
pub(super) fn decide(
    allocation: Allocation,
    request: &OrderAddressChangeRequested,
    by: &Circumstances<'_>,
) -> Result<Change, Refused> {
    allocation.decide_address(&request.delivery_address, by.sequence)
}
