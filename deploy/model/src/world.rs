//! The world of one order: the states of three services, their topics, and each service's position in each topic.

use chrono::{DateTime, Utc};
use order_svc::domain::{Destination, LastSequences, Progress};
use payment_svc::domain::{Call, GatewayReply, Payment, Refund, RefundState, Transition};
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    Order,
    Stock,
    Payment,
}

impl Service {
    pub const ALL: [Self; 3] = [Self::Order, Self::Stock, Self::Payment];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => order_svc::NAME,
            Self::Stock => stock_svc::NAME,
            Self::Payment => payment_svc::NAME,
        }
    }

    /// The topics, keyed by order, that it reads.
    pub const fn hears(self) -> &'static [Topic] {
        match self {
            Self::Order => &[Topic::Stock, Topic::Payments, Topic::Shipments],
            Self::Stock => &[Topic::Orders, Topic::Payments],
            Self::Payment => &[Topic::Orders, Topic::Stock, Topic::Shipments],
        }
    }
}

/// order-svc's row of the order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OrderRow {
    pub progress: Progress,
    pub last_sequences: LastSequences,
    pub destination: Destination,
    /// Whether the customer was forgotten, so that the destination is nobody's.
    pub forgotten: bool,
}

/// payment-svc's rows of the order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PaymentRows {
    pub payment: Payment,
    /// The unfinished call to the gateway.
    pub call: Option<Call>,
    pub ledger: Vec<Entry>,
}

/// An answer of the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answered {
    pub call: Call,
    /// The call's idempotency key.
    pub key: String,
    pub answer: GatewayReply,
}

/// The whole state at one moment.
#[derive(Clone, Debug, Hash)]
pub struct World {
    pub order: Shared<OrderRow>,
    /// stock-svc's part, as far as it belongs to this order.
    pub allocation: Shared<Allocation>,
    pub shelf: Shared<Shelf>,
    pub payment: Shared<PaymentRows>,
    pub bank: Shared<Bank>,
    /// Answers that the gateway has sent and payment-svc has not received.
    pub on_their_way: Vec<Answered>,
    topics: [Shared<Vec<Shared<Event>>>; 4],
    heard: [[usize; 4]; 3],
    /// Whether the payment deadline has passed.
    pub late: bool,
    /// The keys of actions that somebody took at the gateway by hand, which payment-svc learns of later.
    pub by_hand: Vec<String>,
    /// The money that may be refunded although something has left: for returns, losses, call-offs, staff refunds.
    pub given_back: i64,
    /// The price of what was lost or called off. The order must not end before it is refunded.
    pub to_refund: i64,
    /// The address that each shipment had when it left.
    pub sent_to: Vec<(ShipmentId, Option<Address>)>,
    /// Something that no race may cause: a reaction that fails an event for good, or a second unfinished call.
    pub fault: Option<&'static str>,
}

const fn place_of(topic: Topic) -> usize {
    match topic {
        Topic::Orders => 0,
        Topic::Stock => 1,
        Topic::Payments => 2,
        Topic::Shipments | Topic::Notifications | Topic::Products | Topic::Customers => 3,
    }
}

impl World {
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

    /// Appends events to their topics at once; outbox and relay have their own tests.
    pub fn say(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.topics[place_of(event.topic())].change(|said| said.push(Shared::new(event)));
        }
    }

    /// The current time for the gateway's worker.
    pub fn clock(&self) -> DateTime<Utc> {
        if self.late { hear::now() + hear::PATIENCE } else { hear::now() }
    }

    pub fn placed(&self) -> &OrderPlaced {
        let said = self.said(Topic::Orders).find_map(|event| match event {
            Event::Order(OrderEvent::Placed(placed)) => Some(placed),
            _ => None,
        });
        said.unwrap()
    }

    /// The events on a topic, in order.
    pub fn said(&self, topic: Topic) -> impl Iterator<Item = &Event> {
        self.topics[place_of(topic)].iter().map(|event| &**event)
    }

    pub fn everything_said(&self) -> impl Iterator<Item = &Event> {
        self.topics.iter().flat_map(|said| said.iter()).map(|event| &**event)
    }

    /// How many events of this type were published.
    pub fn times_said(&self, type_name: &str) -> usize {
        self.everything_said().filter(|event| event.type_name() == type_name).count()
    }

    /// How many events of a topic a service has handled, which its inbox knows too: topics keep their order.
    pub const fn heard(&self, service: Service, topic: Topic) -> usize {
        self.heard[service as usize][place_of(topic)]
    }

    /// The event at this position of a topic, counted from 0, with its id and `ce_sequence`.
    pub fn event(&self, topic: Topic, at: usize) -> Option<(EventId, i64, &Event)> {
        let event = self.topics[place_of(topic)].get(at)?;
        let sequence = at + 1;
        let id = EventId(Uuid::from_u64_pair(place_of(topic) as u64 + 1, sequence as u64));
        Some((id, i64::try_from(sequence).ok()?, event))
    }

    /// The position of the next event of a topic that matters to a service. Of shipments, payment-svc needs only
    /// losses; of addresses and refusals, each service needs only what it reacts to. All others are skipped at once,
    /// which keeps the states few: when an ignored event is read makes no difference.
    pub fn due(&self, service: Service, topic: Topic) -> Option<usize> {
        let said = &self.topics[place_of(topic)];
        let for_it = |event: &Event| match event {
            Event::Shipment(ShipmentEvent::Readdressed(_) | ShipmentEvent::TrackingCorrected(_)) => false,
            Event::Shipment(parcel) => service != Service::Payment || matches!(parcel, ShipmentEvent::Lost(_)),
            Event::Stock(StockEvent::AddressDecided(_)) => service == Service::Order,
            Event::Order(OrderEvent::CallOffRefused(_) | OrderEvent::AddressChangeRefused(_)) => false,
            Event::Order(
                OrderEvent::CallOffRequested(_)
                | OrderEvent::AddressChanged(_)
                | OrderEvent::AddressChangeRequested(_)
                | OrderEvent::Forgotten(_),
            ) => service == Service::Stock,
            _ => true,
        };
        (self.heard(service, topic)..said.len()).find(|at| for_it(&said[*at]))
    }

    /// Moves a service's position past this event, as the commit of its reaction does.
    pub const fn moved(&mut self, service: Service, topic: Topic, at: usize) {
        self.heard[service as usize][place_of(topic)] = at + 1;
    }

    /// Applies a decision of stock-svc, as `store::Loaded::apply` does.
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

    pub fn price_of(&self, lines: &[StockLine]) -> i64 {
        let ordered = |sku: &Sku| self.placed().lines.iter().find(|ordered| ordered.sku == *sku);
        let cost = |line: &StockLine| ordered(&line.sku)?.unit_price.checked_times(line.quantity);
        lines.iter().filter_map(cost).map(Money::amount).sum()
    }

    /// Applies a transition of the payment, as `store::Loaded::apply` does.
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

    /// The refund that was made at the gateway itself and that payment-svc doesn't know of.
    pub fn unheard_refund(&self) -> Option<i64> {
        let theirs = self.bank.journal.iter().find(|entry| entry.key == ELSEWHERE)?;
        let known = self.payment.ledger.iter().any(|entry| entry.key == ELSEWHERE);
        (!known).then_some(theirs.amount)
    }

    /// The refund that the gateway refused and that staff have not made up for; staff's own refunds don't count.
    pub fn refused_refund(&self) -> Option<&Refund> {
        let refunds = &self.payment.payment.refunds;
        if refunds.iter().any(|refund| refund.id == MADE_UP) {
            return None;
        }
        refunds.iter().find(|refund| refund.state == RefundState::Failed && refund.id != BY_STAFF)
    }

    /// The lines that are reserved for the order now.
    pub fn holds(&self) -> &[StockLine] {
        if self.allocation.expires_at().is_some() { self.allocation.lines() } else { &[] }
    }
}
