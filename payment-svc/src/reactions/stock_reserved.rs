use shared_events::StockReserved;

use super::Circumstances;
use crate::domain::{Payment, Refused, Transition};

/// Asks the gateway to reserve the money, if the order is known; else its `order.placed` will.
pub fn authorise(payment: &mut Payment, reserved: &StockReserved, by: &Circumstances) -> Result<Transition, Refused> {
    payment.reserved(reserved, by.said_at, by.deadline)
}
