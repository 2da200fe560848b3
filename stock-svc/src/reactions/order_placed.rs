use shared_events::OrderPlaced;

use super::Circumstances;
use crate::domain::{Allocation, Change, Refused, lines_of};

/// Holds stock for a placed order, all lines or none, and publishes the outcome.
pub(super) fn hold(allocation: Allocation, placed: &OrderPlaced, by: &Circumstances<'_>) -> Result<Change, Refused> {
    allocation.to(placed.delivery_address.clone()).place(lines_of(placed), by.levels, by.now + by.hold_for)
}
