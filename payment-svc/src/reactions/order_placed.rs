use shared_events::OrderPlaced;

use crate::domain::{Charge, Payment, Refused, Transition};

/// Notes amount and method of a placed order; the gateway is asked once the goods are held, which may have been heard
/// first.
pub fn note(payment: &mut Payment, placed: &OrderPlaced) -> Result<Transition, Refused> {
    payment.placed(Charge::of(placed))
}
