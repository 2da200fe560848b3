//! What people do: pack, dispatch and deliver, and change their minds.

use order_svc::domain::Refused as OrderRefused;
use stock_svc::domain::{Change, Refused};

use super::Steps;
use crate::hear::now;
use crate::play::Play;
use crate::world::World;

/// The warehouse and the carrier.
pub fn warehouse(world: &World, play: &Play, steps: &mut Steps) {
    let text = |text: &str| text.parse().unwrap();
    let mut moves = |who, does, change: Result<Change, Refused>| {
        let Ok(change) = change else { return };
        let mut next = world.clone();
        next.keep(change);
        steps.happens(who, does, "the parcel", next);
    };
    let goods = || world.goods.clone_value();
    if world.goods.shipment.is_none() {
        return;
    }
    if play.packing {
        moves("the warehouse", "packs", goods().pack(now()));
    }
    moves("the warehouse", "dispatches", goods().dispatch(text("An Post"), text("AP1"), now()));
    moves("the carrier", "delivers", goods().deliver(now()));
}

/// The customer.
pub fn customer(world: &World, _: &Play, steps: &mut Steps) {
    let cancelled = world.order.progress.clone().cancel();
    wish(world, "the customer", "cancels", cancelled, steps);
}

/// Something that order-svc is asked to do, where it changes anything.
pub fn wish(
    world: &World,
    who: &'static str,
    does: &'static str,
    decided: Result<order_svc::domain::Step, OrderRefused>,
    steps: &mut Steps,
) {
    let Ok((progress, says)) = decided else { return };
    if progress == world.order.progress {
        return;
    }
    let mut next = world.clone();
    next.order.change(|row| row.progress = progress);
    next.say(says);
    steps.may(who, does, next);
}
