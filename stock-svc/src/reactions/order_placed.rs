use shared_events::OrderPlaced;

use super::Circumstances;
use crate::domain::{Change, Goods, Refused, lines_of};

/// Holds stock for a placed order, all lines or none, and announces the outcome.
pub(super) fn hold(goods: Goods, placed: &OrderPlaced, by: &Circumstances<'_>) -> Result<Change, Refused> {
    goods.to(placed.delivery_address.clone()).place(lines_of(placed), by.levels, by.now + by.hold_for)
}
