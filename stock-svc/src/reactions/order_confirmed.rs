use super::Circumstances;
use crate::domain::{Change, Goods, Refused};

/// Makes the hold firm. If it has expired, holds again, or says that the goods are gone.
pub(super) fn commit(goods: Goods, by: &Circumstances<'_>) -> Result<Change, Refused> {
    goods.confirm(by.levels, by.parcel)
}
