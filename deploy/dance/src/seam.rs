//! Where the explorer calls the services' domain, and where a rule can be left out to see that this is noticed. Nothing
//! of it is in the services.

use payment_svc::domain::{Answer, Call, Payment, Refused, Step};
use shared_events::{Event, EventId};

use crate::hear;
use crate::kept::Kept;
use crate::world::World;

/// A rule of the dance that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {}

/// order-svc hears, as `reactions/fact.rs` does.
pub fn order(world: &mut World, _: Option<Sabotage>, event: &Event, sequence: i64) {
    let mut row = world.order.clone_value();
    if let Some(Ok((progress, says))) = hear::order(&mut row, event, sequence) {
        row.progress = progress;
        world.order = Kept::new(row);
        world.say(says);
    }
}

/// stock-svc hears, as `reactions::conclude` does.
pub fn stock(world: &mut World, _: Option<Sabotage>, event: &Event) {
    if let Some(Ok(change)) = hear::stock(world.goods.clone_value(), event, &world.shelf.levels()) {
        world.keep(change);
    }
}

/// payment-svc hears, as `commands::heard` does.
pub fn payment(world: &mut World, _: Option<Sabotage>, event: &Event, id: EventId) {
    let mut payment = world.payment.payment.clone();
    match hear::payment(&mut payment, event, id) {
        Some(Ok(step)) => world.follow(payment, step),
        Some(Err(Refused::NotOrdered { .. })) => world.fault = Some("payment-svc calls an event poison"),
        Some(Err(Refused::Not { .. } | Refused::MoreThanRemains { .. })) | None => {}
    }
}

/// payment-svc applies the gateway's answer.
pub fn answered(payment: &mut Payment, _: Option<Sabotage>, call: Call, answer: Answer) -> Result<Step, Refused> {
    payment.answered(call, answer)
}
