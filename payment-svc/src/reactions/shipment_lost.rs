use shared_events::ShipmentLost;

use super::Circumstances;
use crate::domain::{Payment, Refused, Transition};

/// A parcel never arrived: refunds the price of its lines out of what was captured.
pub fn refund(payment: &mut Payment, lost: &ShipmentLost, by: &Circumstances) -> Result<Transition, Refused> {
    payment.lost(by.refund(), lost)
}
