//! The life of one order, by chance, as a list of deeds: so that the services themselves can be told it again.

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

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Action {
    /// A service heard the next event of a topic.
    Heard {
        /// Who.
        service: Service,
        /// What.
        event: Box<Event>,
        /// Its id, by which a refund is named that it causes.
        id: EventId,
        /// Its `ce_sequence`.
        sequence: i64,
        /// Somebody else had bought the last pieces just before.
        sold_out: bool,
    },
    /// Anything else, in the explorer's words.
    Did(Label),
}

/// An order's life from its first day to its last.
#[derive(Debug)]
pub struct Trace {
    /// As it was placed.
    pub order: Order,
    /// What happened.
    pub deeds: Vec<Action>,
    world: World,
}

impl Trace {
    /// Tells the life that `seed` chooses of the order of that number, with so many pieces on the shelves at first.
    pub fn tell(play: &Play, number: u128, on_hand: i64, seed: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let order = play.placed(number);
        let mut trace = Self { order, deeds: vec![], world: play.order(number, stocked(on_hand)) };
        loop {
            let next = steps::from(&trace.world, play);
            if next.is_empty() {
                return trace;
            }
            let step = choose(&mut chance, next);
            trace.deeds.push(deed(&trace.world, step.label));
            trace.world = step.world;
        }
    }

    /// order-svc's view in the end.
    pub fn progress(&self) -> &Progress {
        &self.world.order.progress
    }

    /// Where the order goes in the end, as order-svc sees it.
    pub fn destination(&self) -> &Destination {
        &self.world.order.destination
    }

    /// stock-svc's view in the end.
    pub fn allocation(&self) -> &Allocation {
        &self.world.allocation
    }

    /// The shelves in the end.
    pub fn shelf(&self) -> &Shelf {
        &self.world.shelf
    }

    /// payment-svc's view in the end.
    pub fn payment(&self) -> &Payment {
        &self.world.payment.payment
    }

    /// payment-svc's ledger in the end.
    pub fn ledger(&self) -> &[Entry] {
        &self.world.payment.ledger
    }

    /// What was said on a topic, without `order.placed`, which was there before.
    pub fn said(&self, topic: Topic) -> Vec<Event> {
        let is_new = |event: &&Event| !matches!(event, Event::Order(OrderEvent::Placed(_)));
        self.world.said(topic).filter(is_new).cloned().collect()
    }
}

fn deed(world: &World, label: Label) -> Action {
    let Some(service) = Service::ALL.into_iter().find(|service| service.name() == label.who) else {
        return Action::Did(label);
    };
    let next = |topic: &Topic| world.event(*topic, world.due(service, *topic)?);
    let heard = service.hears().iter().filter_map(next).find(|(_, _, event)| event.type_name() == label.of);
    let (id, sequence, event) = heard.unwrap();
    Action::Heard { service, event: Box::new(event.clone()), id, sequence, sold_out: label.does != "hears" }
}
