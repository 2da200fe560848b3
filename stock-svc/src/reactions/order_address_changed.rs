use shared_events::{OrderAddressChangeRequested, OrderAddressChanged};

use super::Circumstances;
use crate::domain::{Allocation, Change, Refused};

/// What is still there goes to the order's new address.
pub(super) fn readdress(
    allocation: Allocation,
    changed: &OrderAddressChanged,
    by: &Circumstances<'_>,
) -> Result<Change, Refused> {
    allocation.readdress(&changed.delivery_address, by.sequence)
}

/// What is still there goes to the address that is asked for, and what has left does not: this is where a change of address
/// and a dispatch are decided.
pub(super) fn decide(
    allocation: Allocation,
    request: &OrderAddressChangeRequested,
    by: &Circumstances<'_>,
) -> Result<Change, Refused> {
    allocation.decide_address(&request.delivery_address, by.sequence)
}
