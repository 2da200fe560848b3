use shared_events::ShipmentLost;

use super::Circumstances;
use crate::domain::{Payment, Refused, Transition};

/// Refunds the price of lines that were lost out of what was captured.
pub fn refund(payment: &mut Payment, lost: &ShipmentLost, by: &Circumstances) -> Result<Transition, Refused> {
    payment.lost(by.refund(), lost)
}
