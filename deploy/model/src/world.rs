//! One order's world: the three services' states, the topics between them, and how far each has heard each.

use chrono::{DateTime, Utc};
use order_svc::domain::{Destination, LastSequences, Progress};
use payment_svc::domain::{Answer, Call, Payment, Refund, RefundState, Transition};
use shared_events::{
    Address, Event, EventId, Money, OrderEvent, OrderPlaced, RestockCause, ShipmentEvent, ShipmentId, Sku, StockEvent,
    StockLine, Topic,
};
use stock_svc::domain::{Allocation, Change};
use uuid::Uuid;

use crate::bank::{Bank, Entry};
use crate::hear;
use crate::play::{BY_STAFF, ELSEWHERE, MADE_UP};
use crate::shared::Shared;
use crate::shelf::Shelf;

/// Who hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// order-svc.
    Order,
    /// stock-svc.
    Stock,
    /// payment-svc.
    Payment,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Order, Self::Stock, Self::Payment];

    /// As it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => order_svc::NAME,
            Self::Stock => stock_svc::NAME,
            Self::Payment => payment_svc::NAME,
        }
    }

    /// The order-keyed topics that it hears.
    pub const fn hears(self) -> &'static [Topic] {
        match self {
            Self::Order => &[Topic::Stock, Topic::Payments, Topic::Shipments],
            Self::Stock => &[Topic::Orders, Topic::Payments],
            Self::Payment => &[Topic::Orders, Topic::Stock, Topic::Shipments],
        }
    }
}

/// order-svc's row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OrderRow {
    /// How far the order is.
    pub progress: Progress,
    /// The newest fact of each topic.
    pub ranks: LastSequences,
    /// Where it goes.
    pub destination: Destination,
}

/// payment-svc's rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PaymentRows {
    /// The payment.
    pub payment: Payment,
    /// The call to the gateway that is unfinished.
    pub call: Option<Call>,
    /// What payment-svc knows to have happened to money.
    pub ledger: Vec<Entry>,
}

/// An answer of the gateway's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answered {
    /// To which call.
    pub call: Call,
    /// The call's key.
    pub key: String,
    /// What it says.
    pub answer: Answer,
}

/// All there is at one moment.
#[derive(Clone, Debug, Hash)]
pub struct World {
    /// order-svc.
    pub order: Shared<OrderRow>,
    /// stock-svc, as far as it is the order's alone.
    pub allocation: Shared<Allocation>,
    /// stock-svc's levels.
    pub shelf: Shared<Shelf>,
    /// payment-svc.
    pub payment: Shared<PaymentRows>,
    /// The gateway.
    pub bank: Shared<Bank>,
    /// Answers of the gateway's that payment-svc hasn't got yet.
    pub on_their_way: Vec<Answered>,
    topics: [Shared<Vec<Shared<Event>>>; 4],
    heard: [[usize; 4]; 3],
    /// The payment deadline has passed.
    pub late: bool,
    /// The keys of what somebody has done at the gateway by hand: known here once it is heard.
    pub by_hand: Vec<String>,
    /// Money that may have gone back although goods have left: of returns, losses, what was called off, staff refunds.
    pub given_back: i64,
    /// What was lost on its way or called off, at its price: the order's end waits for that to be refunded.
    pub to_refund: i64,
    /// Where each parcel that has left was sent, whatever is said of it later.
    pub sent_to: Vec<(ShipmentId, Option<Address>)>,
    /// What no race may cause: an event that a reaction calls poison, a second unfinished call.
    pub fault: Option<&'static str>,
}

const fn place_of(topic: Topic) -> usize {
    match topic {
        Topic::Orders => 0,
        Topic::Stock => 1,
        Topic::Payments => 2,
        Topic::Shipments | Topic::Notifications | Topic::Products => 3,
    }
}

impl World {
    /// The world in which an order was just placed.
    pub fn new(order: OrderRow, allocation: Allocation, payment: Payment, shelf: Shelf, placed: Event) -> Self {
        let nothing = Shared::new(Vec::new());
        let mut world = Self {
            order: Shared::new(order),
            allocation: Shared::new(allocation),
            shelf: Shared::new(shelf),
            payment: Shared::new(PaymentRows { payment, call: None, ledger: vec![] }),
            bank: Shared::new(Bank::default()),
            on_their_way: vec![],
            topics: [nothing.clone(), nothing.clone(), nothing.clone(), nothing],
            heard: [[0; 4]; 3],
            late: false,
            by_hand: vec![],
            given_back: 0,
            to_refund: 0,
            sent_to: vec![],
            fault: None,
        };
        world.say([placed]);
        world
    }

    /// Appends to the topics. (Outbox and relay have tests of their own; here what is committed is in its topic.)
    pub fn say(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.topics[place_of(event.topic())].change(|said| said.push(Shared::new(event)));
        }
    }

    /// The time at the gateway's worker.
    pub fn clock(&self) -> DateTime<Utc> {
        if self.late { hear::now() + hear::PATIENCE } else { hear::now() }
    }

    /// What was ordered.
    pub fn placed(&self) -> &OrderPlaced {
        let said = self.said(Topic::Orders).find_map(|event| match event {
            Event::Order(OrderEvent::Placed(placed)) => Some(placed),
            _ => None,
        });
        said.unwrap()
    }

    /// What was said on a topic, in order.
    pub fn said(&self, topic: Topic) -> impl Iterator<Item = &Event> {
        self.topics[place_of(topic)].iter().map(|event| &**event)
    }

    /// What was said on all topics.
    pub fn everything_said(&self) -> impl Iterator<Item = &Event> {
        self.topics.iter().flat_map(|said| said.iter()).map(|event| &**event)
    }

    /// How often this type was said.
    pub fn times_said(&self, type_name: &str) -> usize {
        self.everything_said().filter(|event| event.type_name() == type_name).count()
    }

    /// How many events of a topic a service has handled; what its inbox knows, since a topic keeps its order.
    pub const fn heard(&self, service: Service, topic: Topic) -> usize {
        self.heard[service as usize][place_of(topic)]
    }

    /// The event at this place of a topic, counted from 0: its id, its `ce_sequence` and what it says.
    pub fn event(&self, topic: Topic, at: usize) -> Option<(EventId, i64, &Event)> {
        let event = self.topics[place_of(topic)].get(at)?;
        let sequence = at + 1;
        let id = EventId(Uuid::from_u64_pair(place_of(topic) as u64 + 1, sequence as u64));
        Some((id, i64::try_from(sequence).ok()?, event))
    }

    /// The place of the next event of a topic that a service hears. Of parcels payment-svc needs to know the losses alone,
    /// and of addresses and refusals each service only what it reacts to: it is taken past all else at once, since when it
    /// hears what it ignores makes no difference.
    pub fn due(&self, service: Service, topic: Topic) -> Option<usize> {
        let said = &self.topics[place_of(topic)];
        let for_it = |event: &Event| match event {
            Event::Shipment(ShipmentEvent::Readdressed(_) | ShipmentEvent::TrackingCorrected(_)) => false,
            Event::Shipment(parcel) => service != Service::Payment || matches!(parcel, ShipmentEvent::Lost(_)),
            Event::Stock(StockEvent::AddressDecided(_)) => service == Service::Order,
            Event::Order(OrderEvent::CallOffRefused(_) | OrderEvent::AddressChangeRefused(_)) => false,
            Event::Order(
                OrderEvent::CallOffRequested(_) | OrderEvent::AddressChanged(_) | OrderEvent::AddressChangeRequested(_),
            ) => service == Service::Stock,
            _ => true,
        };
        (self.heard(service, topic)..said.len()).find(|at| for_it(&said[*at]))
    }

    /// Moves a service's position past the event at this place, as the commit of its reaction does.
    pub const fn moved(&mut self, service: Service, topic: Topic, at: usize) {
        self.heard[service as usize][place_of(topic)] = at + 1;
    }

    /// Carries out what stock-svc decided, as `store::Loaded::apply` does.
    pub fn keep(&mut self, change: Change) {
        let Change { allocation, movement, events } = change;
        if let Some((movement, lines)) = movement {
            let moved = self.shelf.change(|shelf| shelf.moves(movement, &lines));
            if !moved {
                self.fault = Some("pieces were to move that aren't there");
            }
        }
        for event in &events {
            if let Event::Shipment(ShipmentEvent::Dispatched(gone)) = event {
                let parcel = allocation.shipments.iter().find(|parcel| parcel.id == gone.shipment_id);
                self.sent_to.push((gone.shipment_id, parcel.and_then(|parcel| parcel.address.clone())));
            }
        }
        self.allocation = Shared::new(allocation);
        let called_off = events.iter().find_map(|event| match event {
            Event::Stock(StockEvent::Restocked(back)) if back.cause == RestockCause::CalledOff => Some(&back.lines),
            _ => None,
        });
        if let Some(lines) = called_off {
            let price = self.price_of(lines);
            self.given_back += price;
            self.to_refund += price;
        }
        self.say(events);
    }

    /// What these lines cost, as the order said.
    pub fn price_of(&self, lines: &[StockLine]) -> i64 {
        let ordered = |sku: &Sku| self.placed().lines.iter().find(|ordered| ordered.sku == *sku);
        let cost = |line: &StockLine| ordered(&line.sku)?.unit_price.checked_times(line.quantity);
        lines.iter().filter_map(cost).map(Money::amount).sum()
    }

    /// Carries out a step of the payment, as `commands::follow` does.
    pub fn follow(&mut self, payment: Payment, step: Transition) {
        let before = self.payment.call.filter(|call| step.finishes != Some(*call));
        if before.is_some() && step.call.is_some() {
            self.fault = Some("a payment has two unfinished calls");
        }
        let call = step.call.or(before);
        self.payment.change(|rows| {
            for (call, amount) in step.moved {
                let (operation, amount, key) = (call.operation(), amount.amount(), payment.key(call));
                rows.ledger.push(Entry { operation, amount, key });
            }
            (rows.payment, rows.call) = (payment, call);
        });
        self.say(step.events.into_iter().map(Event::Payment));
    }

    /// What the gateway has given back by itself and payment-svc has not heard of.
    pub fn unheard_refund(&self) -> Option<i64> {
        let theirs = self.bank.journal.iter().find(|entry| entry.key == ELSEWHERE)?;
        let known = self.payment.ledger.iter().any(|entry| entry.key == ELSEWHERE);
        (!known).then_some(theirs.amount)
    }

    /// The refund that the gateway has refused and that somebody must look at, as long as nobody did: not one of staff's.
    pub fn refused_refund(&self) -> Option<&Refund> {
        let refunds = &self.payment.payment.refunds;
        if refunds.iter().any(|refund| refund.id == MADE_UP) {
            return None;
        }
        refunds.iter().find(|refund| refund.state == RefundState::Failed && refund.id != BY_STAFF)
    }

    /// What is held for the order right now, line by line.
    pub fn holds(&self) -> &[StockLine] {
        if self.allocation.expires_at().is_some() { self.allocation.lines() } else { &[] }
    }
}
