//! Timers, which may fire at any time.

use super::{Steps, people};
use crate::play::Play;
use crate::world::World;

const WHO: &str = "time";

/// The deadlines of payment and order, and the end of the reservation.
pub fn fire(world: &World, play: &Play, steps: &mut Steps) {
    if play.deadline && !world.late {
        let mut next = world.clone();
        next.late = true;
        steps.may(WHO, "passes the payment's deadline", "", next);
    }
    let timed_out = world.order.progress.clone().time_out();
    people::order_svc_decides(world, WHO, "passes the order's deadline", timed_out, steps);
    if let Ok(change) = world.allocation.clone_value().expire() {
        let mut next = world.clone();
        next.keep(change);
        steps.may(WHO, "ends the hold", "", next);
    }
}
