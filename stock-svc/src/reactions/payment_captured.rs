use super::Circumstances;
use crate::domain::{Change, Goods, Refused};

/// Creates the shipment once the goods are firm. Heard before that, the capture is remembered.
pub(super) fn create_shipment(goods: Goods, by: &Circumstances<'_>) -> Result<Change, Refused> {
    goods.capture(by.parcel)
}
