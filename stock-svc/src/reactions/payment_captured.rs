use super::Circumstances;
use crate::domain::{Allocation, Change, Refused};

/// Creates the shipment if the stock is committed. Otherwise it remembers the capture.
pub(super) fn create_shipment(allocation: Allocation, by: &Circumstances<'_>) -> Result<Change, Refused> {
    allocation.capture(by.parcel)
}
