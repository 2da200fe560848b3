use shared_events::StockRestocked;

use super::Circumstances;
use crate::domain::{Payment, Refused, Transition};

/// Goods are back on the shelf: refunds the price of their lines. What came back because it was returned is refunded
/// only out of what was captured; what came back because the order was cancelled undoes whatever there is.
pub fn undo(payment: &mut Payment, restocked: &StockRestocked, by: &Circumstances) -> Result<Transition, Refused> {
    payment.restocked(by.refund(), restocked)
}
