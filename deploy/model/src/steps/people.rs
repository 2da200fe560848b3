//! What people do: pack, dispatch and deliver, and change their minds.

use order_svc::domain::Refused as OrderRefused;
use payment_svc::commands;
use payment_svc::domain::{Call, Refused};
use payment_svc::gateway::IntentState;
use shared_events::{GatewayOperation, StockLine};
use stock_svc::domain::{Change, Refused as StockRefused, Shipment, Stage};

use super::Steps;
use crate::hear::{self, now};
use crate::play::{BY_STAFF, MADE_UP, Play, elsewhere};
use crate::seam;
use crate::shared::fingerprint;
use crate::world::World;

const CUSTOMER: &str = "the customer";
/// What the gateway says of a customer who failed 3-D Secure.
const FAILED: &str = "payment_intent_authentication_failure";

/// The names of an order's shipments, in the order in which they were created.
const PARCELS: [&str; 3] = ["the parcel", "the part", "the rest"];

/// An order's shipments that were not called off, with their names.
fn parcels(world: &World) -> impl Iterator<Item = (&'static str, &Shipment)> {
    PARCELS.into_iter().zip(&world.allocation.shipments).filter(|(_, parcel)| parcel.stage != Stage::Cancelled)
}

/// What the warehouse and the carrier do.
pub fn warehouse(world: &World, play: &Play, steps: &mut Steps) {
    let text = |text: &str| text.parse().unwrap();
    for (name, parcel) in parcels(world) {
        let mut moves = |who, does, change: Result<Change, StockRefused>| {
            let Ok(change) = change else { return };
            // A repeated action, such as the same dispatch, changes nothing and is no step.
            if change.events.is_empty() && fingerprint(&change.allocation) == fingerprint(&*world.allocation) {
                return;
            }
            let mut next = world.clone();
            next.keep(change);
            steps.happens(who, does, name, next);
        };
        let (allocation, id) = (|| world.allocation.clone_value(), parcel.id);
        if play.packing {
            moves("the warehouse", "packs", allocation().pack(id, now()));
        }
        if !(play.rest_stays && name == PARCELS[2]) {
            moves("the warehouse", "dispatches", allocation().dispatch(id, text("An Post"), text("AP1"), now()));
        }
        moves("the carrier", "delivers", allocation().deliver(id, now()));
        if play.losses {
            loses(world, name, parcel, steps);
        }
        if play.calls_off && parcel.stage.in_the_warehouse() {
            calls_off(world, name, parcel, steps);
        }
    }
    if play.splits {
        splits(world, steps);
    }
}

/// The warehouse splits the first line off the only shipment.
fn splits(world: &World, steps: &mut Steps) {
    let [parcel] = &world.allocation.shipments[..] else { return };
    let parts = [hear::new_parcel(1), hear::new_parcel(2)];
    let Ok(change) = world.allocation.clone_value().split(parcel.id, &parcel.lines[..1], parts, now()) else { return };
    let mut next = world.clone();
    next.keep(change);
    steps.may("the warehouse", "splits", "the parcel", next);
}

/// Staff call off a shipment that can't leave.
fn calls_off(world: &World, name: &'static str, parcel: &Shipment, steps: &mut Steps) {
    let Ok(change) = world.allocation.clone_value().call_off(Some(parcel.id), now()) else { return };
    let mut next = world.clone();
    next.keep(change);
    steps.may("the warehouse", "calls off", name, next);
}

fn loses(world: &World, name: &'static str, parcel: &Shipment, steps: &mut Steps) {
    let Ok(change) = world.allocation.clone_value().lose(parcel.id, now()) else { return };
    let price = world.price_of(&parcel.lines);
    let mut next = world.clone();
    next.given_back += price;
    next.to_refund += price;
    next.keep(change);
    steps.happens("the carrier", "loses", name, next);
}

/// What the customer does.
pub fn customer(world: &World, play: &Play, steps: &mut Steps) {
    sends_back(world, play, steps);
    let cancelled = world.order.progress.clone().cancel();
    order_svc_decides(world, CUSTOMER, "cancels", cancelled, steps);
    let moved = ["order.address_changed.v1", "order.address_change_requested.v1"];
    if play.moves && moved.iter().all(|told| world.times_said(told) == 0) {
        moves(world, play, steps);
    }
    if play.calls_off {
        order_svc_decides(world, CUSTOMER, "calls off the rest", world.order.progress.clone().call_off(), steps);
    }
    if world.bank.asks_customer {
        steps.may(CUSTOMER, "completes 3-D Secure", "", authenticated(world, true));
        if play.lost_webhooks {
            steps.may(CUSTOMER, "completes 3-D Secure unheard", "", authenticated(world, false));
        }
        let mut payment = world.payment.payment.clone();
        if let Some(step) = seam::action_failed(&mut payment, play.sabotage, FAILED.to_owned()) {
            let mut next = world.clone();
            next.follow(payment, step);
            steps.may(CUSTOMER, "fails 3-D Secure", "", next);
        }
    }
}

/// The customer moves house and wants the order sent to the new address.
fn moves(world: &World, play: &Play, steps: &mut Steps) {
    let mut next = world.clone();
    let decided = seam::redirect(&mut next, play.sabotage, elsewhere());
    if decided && next.order.destination != world.order.destination {
        steps.may(CUSTOMER, "wants it elsewhere", "", next);
    }
}

/// An operator has the customer forgotten.
pub fn operator(world: &World, play: &Play, steps: &mut Steps) {
    if !play.forgets || world.order.forgotten {
        return;
    }
    let mut next = world.clone();
    if seam::forget(&mut next, play.sabotage) {
        steps.may("an operator", "forgets", "the customer", next);
    }
}

/// The bank reserves the money. payment-svc learns of it by a webhook, or doesn't.
fn authenticated(world: &World, heard: bool) -> World {
    let mut next = world.clone();
    let mut payment = next.payment.payment.clone();
    let amount = payment.charge.as_ref().map_or(0, |charge| charge.amount.amount());
    let key = payment.key(Call::Authorise);
    next.bank.change(|bank| bank.act(GatewayOperation::Authorise, amount, key));
    let before = payment.clone();
    if heard && let Some(Ok(step)) = commands::found(&mut payment, &before, IntentState::Authorised) {
        next.follow(payment, step);
    }
    next
}

/// A shipment comes back, in whole or in part.
fn sends_back(world: &World, play: &Play, steps: &mut Steps) {
    for (name, parcel) in parcels(world) {
        let name = if name == PARCELS[0] { "" } else { name };
        let mut comes_back = |does, lines: Vec<StockLine>| {
            let price = world.price_of(&lines);
            let Ok(change) = world.allocation.clone_value().take_back(parcel.id, lines, now()) else { return };
            let mut next = world.clone();
            next.given_back += price;
            next.keep(change);
            steps.may(CUSTOMER, does, name, next);
        };
        match parcel.stage {
            Stage::Delivered if play.returns => {
                for line in parcel.lines.iter().filter(|line| !parcel.returned.contains(line)) {
                    comes_back("returns a line", vec![line.clone()]);
                }
            }
            Stage::Dispatched if play.refused_at_the_door => comes_back("refuses the parcel", parcel.lines.clone()),
            _ => {}
        }
    }
}

/// Staff refund money.
pub fn staff(world: &World, play: &Play, steps: &mut Steps) {
    makes_up(world, steps);
    let (id, amount) = (BY_STAFF, play.staff_refund());
    let mut payment = world.payment.payment.clone();
    if !play.staff || payment.refunds.iter().any(|refund| refund.id == id) {
        return;
    }
    if let Ok(step) = payment.refund(id, amount) {
        let mut next = world.clone();
        next.given_back += amount.amount();
        next.follow(payment, step);
        steps.may("staff", "refund a line", "", next);
    }
}

/// Staff refund what the gateway refused to, or as much of it as remains.
fn makes_up(world: &World, steps: &mut Steps) {
    let Some(refused) = world.refused_refund() else { return };
    let mut payment = world.payment.payment.clone();
    let made_up = match payment.refund(MADE_UP, refused.amount) {
        Err(Refused::MoreThanRemains { remaining, .. }) if !remaining.is_zero() => payment.refund(MADE_UP, remaining),
        decided => decided,
    };
    if let Ok(step) = made_up {
        let mut next = world.clone();
        next.follow(payment, step);
        steps.may("staff", "give back what was refused", "", next);
    }
}

/// Adds a decision of order-svc as a step, if it changes anything.
pub fn order_svc_decides(
    world: &World,
    who: &'static str,
    does: &'static str,
    decided: Result<order_svc::domain::Transition, OrderRefused>,
    steps: &mut Steps,
) {
    let Ok((progress, events)) = decided else { return };
    if progress == world.order.progress {
        return;
    }
    let mut next = world.clone();
    next.order.change(|row| row.progress = progress);
    next.say(events);
    steps.may(who, does, "", next);
}
