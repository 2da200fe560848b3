use crate::domain::{Payment, Refused, Transition};

/// The hold has expired: nothing is authorised any more; what is authorised or captured stays.
pub fn stop(payment: &mut Payment) -> Result<Transition, Refused> {
    payment.expired()
}
