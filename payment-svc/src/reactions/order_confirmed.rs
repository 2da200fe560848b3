use crate::domain::{Payment, Refused, Transition};

/// Captures what is authorised: from here on the order goes forward or is refunded.
pub fn capture(payment: &mut Payment) -> Result<Transition, Refused> {
    payment.confirmed()
}
