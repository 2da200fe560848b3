use shared_events::StockRestocked;

use super::Circumstances;
use crate::domain::{Payment, Refused, Transition};

/// Refunds the price of lines that are back on the shelf. Returned goods are refunded only out of what was captured; a
/// cancellation undoes whatever there is.
pub fn undo(payment: &mut Payment, restocked: &StockRestocked, by: &Circumstances) -> Result<Transition, Refused> {
    payment.restocked(by.refund(), restocked)
}
