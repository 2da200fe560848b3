use super::Circumstances;
use crate::domain::{Allocation, Change, Refused};

/// Creates the shipment once the goods are firm. Heard before that, the capture is remembered.
pub(super) fn create_shipment(allocation: Allocation, by: &Circumstances<'_>) -> Result<Change, Refused> {
    allocation.capture(by.parcel)
}
