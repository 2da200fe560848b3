use shared_events::OrderPlaced;

use crate::domain::{Charge, Payment, Refused, Transition};

/// Notes amount and method. The gateway is asked once the goods are held, which may be known already.
pub fn note(payment: &mut Payment, placed: &OrderPlaced) -> Result<Transition, Refused> {
    payment.placed(Charge::of(placed))
}
