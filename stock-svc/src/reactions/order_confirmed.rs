use super::Circumstances;
use crate::domain::{Allocation, Change, Refused};

/// Commits the reservation. If it has expired, it holds the stock again, or rejects if the stock is gone.
pub(super) fn commit(allocation: Allocation, by: &Circumstances<'_>) -> Result<Change, Refused> {
    allocation.confirm(by.levels, by.parcel)
}
