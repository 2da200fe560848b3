use super::Circumstances;
use crate::domain::{Allocation, Change, Refused};

/// Makes the hold firm. If it has expired, holds again, or says that the goods are gone.
pub(super) fn commit(allocation: Allocation, by: &Circumstances<'_>) -> Result<Change, Refused> {
    allocation.confirm(by.levels, by.parcel)
}
