use shared_events::{Event, OrderEvent, Topic};

use super::Steps;
use crate::play::Play;
use crate::seam;
use crate::shared::fingerprint;
use crate::world::{Service, World};

/// Each service reads the next event of each topic.
pub fn facts(world: &World, play: &Play, steps: &mut Steps) {
    for service in Service::ALL {
        for &topic in service.hears() {
            let Some((_, _, event)) = world.due(service, topic).and_then(|at| world.event(topic, at)) else { continue };
            if play.crowded && service == Service::Stock && asks_for_stock(world, event) {
                let mut sold_out = world.clone();
                sold_out.shelf.change(|shelf| shelf.sold_out(&wanted(world, event)));
                hear(&mut sold_out, play, service, topic);
                steps.happens(service.name(), "is out of stock and hears", event.type_name(), sold_out);
            }
            let mut next = world.clone();
            hear(&mut next, play, service, topic);
            steps.happens(service.name(), "hears", event.type_name(), next);
        }
    }
}

/// The service reads the next event of the topic for the first time.
fn hear(world: &mut World, play: &Play, service: Service, topic: Topic) {
    let Some(at) = world.due(service, topic) else { return };
    react(world, play, service, topic, at);
    world.moved(service, topic, at);
}

/// An event that the service has handled is delivered again. The inbox knows its id, so nothing happens; if the inbox
/// has forgotten it, the reaction runs again.
pub fn again(world: &mut World, play: &Play, service: Service, topic: Topic, at: usize) {
    let known = at < world.heard(service, topic);
    if !known || play.forgetful {
        react(world, play, service, topic, at);
    }
}

/// Every handled event may be delivered again.
pub fn once_more(world: &World, play: &Play, steps: &mut Steps) {
    for service in Service::ALL {
        for &topic in service.hears() {
            for at in 0..world.heard(service, topic) {
                let Some((_, _, event)) = world.event(topic, at) else { continue };
                let mut next = world.clone();
                again(&mut next, play, service, topic, at);
                if fingerprint(&next) != fingerprint(world) {
                    steps.may(service.name(), "hears again, past its inbox,", event.type_name(), next);
                }
            }
        }
    }
}

fn react(world: &mut World, play: &Play, service: Service, topic: Topic, at: usize) {
    let Some((id, sequence, event)) = world.event(topic, at) else { return };
    let event = event.clone();
    match service {
        Service::Order => seam::order(world, play.sabotage, &event, id, sequence),
        Service::Stock => seam::stock(world, play.sabotage, &event, sequence),
        Service::Payment => seam::payment(world, play.sabotage, &event, id),
    }
}

/// Whether stock-svc checks the stock levels for this event.
fn asks_for_stock(world: &World, event: &Event) -> bool {
    match event {
        Event::Order(OrderEvent::Placed(_)) => world.allocation.reservation.is_none(),
        Event::Order(OrderEvent::Confirmed(_)) => world.allocation.hold_expired(),
        _ => false,
    }
}

fn wanted(world: &World, event: &Event) -> Vec<shared_events::StockLine> {
    match event {
        Event::Order(OrderEvent::Placed(placed)) => stock_svc::domain::lines_of(placed),
        _ => world.allocation.lines().to_vec(),
    }
}
