use super::Circumstances;
use crate::domain::{Payment, Refused, Transition};

/// Nothing is held for the order any more: voids what is authorised, refunds what is captured, closes what was never
/// started. For an unknown order it leaves a tombstone.
pub fn undo(payment: &mut Payment, by: &Circumstances) -> Result<Transition, Refused> {
    payment.released(by.refund())
}
