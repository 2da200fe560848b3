use shared_events::StockRejected;

use crate::domain::{Payment, Refused, Transition};

/// Stock was short: the payment is closed. An expired hold that can't be had again closes nothing: the money waits for
/// `stock.released`.
pub fn close(payment: &mut Payment, rejected: &StockRejected) -> Result<Transition, Refused> {
    payment.rejected(&rejected.rejection)
}
