use super::Circumstances;
use crate::domain::{Change, Goods, Refused};

/// Calls off every parcel that has not left: this is where a call-off and a dispatch are decided.
pub(super) fn call_off(goods: Goods, by: &Circumstances<'_>) -> Result<Change, Refused> {
    goods.call_off(None, by.now)
}
