//! The random life of one order as a list of actions, which tests replay on the services themselves.

use order_svc::domain::{Destination, Order, Progress};
use payment_svc::domain::Payment;
use rand::SeedableRng;
use rand::rngs::StdRng;
use shared_events::{Event, EventId, OrderEvent, Topic};
use stock_svc::domain::Allocation;

use crate::bank::Entry;
use crate::chance::choose;
use crate::play::{Play, stocked};
use crate::shelf::Shelf;
use crate::steps::{self, Label};
use crate::world::{Service, World};

#[derive(Clone, Debug)]
pub enum Action {
    /// A service read the next event of a topic.
    Heard {
        service: Service,
        event: Box<Event>,
        /// Its id, from which the id of a refund is derived that it causes.
        id: EventId,
        /// Its `ce_sequence`.
        sequence: i64,
        /// Whether somebody else bought the last pieces just before.
        sold_out: bool,
    },
    /// Anything else, by its label.
    Did(Label),
}

/// An order's life from beginning to end.
#[derive(Debug)]
pub struct Trace {
    pub order: Order,
    pub actions: Vec<Action>,
    world: World,
}

impl Trace {
    /// The life that `seed` chooses for the order with this number, given the initial stock of each SKU.
    pub fn tell(play: &Play, number: u128, on_hand: i64, seed: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let order = play.placed(number);
        let mut trace = Self { order, actions: vec![], world: play.order(number, stocked(on_hand)) };
        loop {
            let next = steps::from(&trace.world, play);
            if next.is_empty() {
                return trace;
            }
            let step = choose(&mut chance, next);
            trace.actions.push(action(&trace.world, step.label));
            trace.world = step.world;
        }
    }

    /// order-svc's final state of the order.
    pub fn progress(&self) -> &Progress {
        &self.world.order.progress
    }

    /// The final delivery address, as order-svc has it.
    pub fn destination(&self) -> &Destination {
        &self.world.order.destination
    }

    /// stock-svc's final state of the order.
    pub fn allocation(&self) -> &Allocation {
        &self.world.allocation
    }

    /// The final stock.
    pub fn shelf(&self) -> &Shelf {
        &self.world.shelf
    }

    /// payment-svc's final state of the payment.
    pub fn payment(&self) -> &Payment {
        &self.world.payment.payment
    }

    /// payment-svc's final ledger.
    pub fn ledger(&self) -> &[Entry] {
        &self.world.payment.ledger
    }

    /// The events on a topic, without the `order.placed` that the life begins with.
    pub fn said(&self, topic: Topic) -> Vec<Event> {
        let is_new = |event: &&Event| !matches!(event, Event::Order(OrderEvent::Placed(_)));
        self.world.said(topic).filter(is_new).cloned().collect()
    }
}

fn action(world: &World, label: Label) -> Action {
    let Some(service) = Service::ALL.into_iter().find(|service| service.name() == label.who) else {
        return Action::Did(label);
    };
    let next = |topic: &Topic| world.event(*topic, world.due(service, *topic)?);
    let heard = service.hears().iter().filter_map(next).find(|(_, _, event)| event.type_name() == label.of);
    let (id, sequence, event) = heard.unwrap();
    Action::Heard { service, event: Box::new(event.clone()), id, sequence, sold_out: label.does != "hears" }
}
