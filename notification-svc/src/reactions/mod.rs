//! The reactions of notification-svc. The kit opens the transaction, writes the inbox and commits.

use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError, Reactions, Subscription, Undecodable, Why};
use service_kit::external_calls::Nudge;
use service_kit::trace;
use shared_events::{
    Event, EventId, OrderEvent, OrderId, PaymentEvent, RestockCause, ShipmentEvent, StockEvent, Topic,
};

use crate::domain::{LetterContent, Order, Origin, Profile, Unwritable, Writer};
use crate::store::{self, Keys, Loaded};

mod customer;

/// All topics that are keyed by order, but its own, and how customers want to be told.
pub fn subscriptions() -> Vec<Subscription> {
    let orders = [Topic::Orders, Topic::Stock, Topic::Payments, Topic::Shipments];
    let orders = orders.map(|topic| Subscription::inbox(topic.name())).into_iter();
    orders.chain([Subscription::latest_per_key(Topic::Customers.name())]).collect()
}

/// Nothing is sent here: the workers do that once the transaction has committed.
pub struct NotificationReactions {
    writer: Writer,
    workers: Vec<Nudge>,
}

impl NotificationReactions {
    /// Reactions that have `writer` write the letters and wake the workers that have them sent.
    pub fn new(writer: Writer, workers: impl IntoIterator<Item = Nudge>) -> Self {
        Self { writer, workers: workers.into_iter().collect() }
    }
}

/// What follows from an event for an order.
enum Reaction {
    NotForUs,
    /// The customer is told this.
    Notify(LetterContent),
    /// The customer, who wasn't known, is told this; and this is announced of what waited for them.
    Introduce(LetterContent, Vec<Event>),
    /// Nobody is told, and the order has changed.
    Noted,
    /// The person is gone; this is announced of what was queued.
    Forget(Vec<Event>),
}

/// Decides about one event. `order.cancelled` is the last of a cancelled order: goods and money are back by then.
fn decide(
    order: &mut Order,
    event: &Event,
    writer: &Writer,
    profile: Option<&Profile>,
) -> Result<Reaction, Unwritable> {
    Ok(Reaction::Notify(match event {
        Event::Order(OrderEvent::Placed(placed)) => {
            let announced = order.introduce(placed, writer, profile)?;
            return Ok(Reaction::Introduce(placed.into(), announced));
        }
        Event::Order(OrderEvent::Forgotten(_)) => return Ok(Reaction::Forget(order.forget())),
        Event::Order(OrderEvent::Confirmed(_)) => LetterContent::Confirmed,
        Event::Order(OrderEvent::AddressChanged(changed)) => changed.into(),
        Event::Order(OrderEvent::AddressChangeRefused(refused)) => {
            LetterContent::AddressChangeRefused { left: refused.shipments.len() }
        }
        Event::Order(OrderEvent::CancelRequested(_)) => {
            order.ending = true;
            return Ok(Reaction::Noted);
        }
        // nothing leaves before it is paid, so only the customer's own cancellation can meet a parcel that has left
        Event::Order(OrderEvent::CancelRefused(_)) => {
            order.ending = false;
            LetterContent::CancelRefused
        }
        Event::Order(OrderEvent::Cancelled(cancelled)) => {
            order.ending = true;
            LetterContent::cancelled(cancelled, &order.line_names)
        }
        Event::Order(OrderEvent::CallOffRefused(_)) => LetterContent::CallOffRefused,
        Event::Stock(StockEvent::Restocked(restocked)) if restocked.cause == RestockCause::CalledOff => {
            LetterContent::from(restocked).named(&order.line_names)
        }
        Event::Shipment(ShipmentEvent::Dispatched(dispatched)) => dispatched.into(),
        Event::Shipment(ShipmentEvent::TrackingCorrected(corrected)) => corrected.into(),
        Event::Shipment(ShipmentEvent::Delivered(_)) => LetterContent::Delivered,
        Event::Shipment(ShipmentEvent::Lost(_)) => LetterContent::Lost,
        Event::Payment(PaymentEvent::ActionRequired(required)) => required.into(),
        Event::Payment(PaymentEvent::Refunded(refunded)) => refunded.into(),
        _ => return Ok(Reaction::NotForUs),
    }))
}

impl Reactions for NotificationReactions {
    type Event = Event;
    type Loaded = Loaded;

    fn decode(&self, event_type: &str, value: &[u8]) -> Result<Event, Undecodable> {
        Event::decode(event_type, value).map_err(|error| Undecodable::new(&error, error.is_unknown_type()))
    }

    fn concerns(&self, event: &Event) -> bool {
        order_of(event).is_some() || matches!(event, Event::Customer(_))
    }

    async fn load(&self, conn: &mut AsyncPgConnection, batch: &[Incoming<Event>]) -> Result<Loaded, ReactionError> {
        let mut keys = Keys::default();
        for event in batch.iter().map(|incoming| &incoming.event) {
            match event {
                Event::Customer(customer) => keys.customer(customer.customer_id()),
                Event::Order(OrderEvent::Placed(placed)) => keys.placed(placed.order_id, &placed.customer.id),
                event => order_of(event).into_iter().for_each(|order| keys.order(order, names_lines(event))),
            }
        }
        Ok(store::load(conn, keys).await?)
    }

    fn react(&self, loaded: &mut Loaded, incoming: &Incoming<Event>) -> Result<Handled, ReactionError> {
        if let Event::Customer(event) = &incoming.event {
            return customer::remember(loaded, incoming, event);
        }
        let Some(order_id) = order_of(&incoming.event) else { return Ok(Handled::Ignored(Why::NotForUs)) };
        let mut order = loaded.order(order_id)?.clone();
        let forgets = matches!(&incoming.event, Event::Order(OrderEvent::Forgotten(_)));
        if order.forgotten && !forgets {
            return Ok(Handled::Ignored(Why::refused("its person is forgotten")));
        }
        let profile = match &incoming.event {
            Event::Order(OrderEvent::Placed(placed)) => loaded.profile(placed.customer.id.as_str()),
            _ => order.customer.as_ref().and_then(|customer| loaded.profile(customer.id.as_deref()?)),
        };
        let decided = decide(&mut order, &incoming.event, &self.writer, profile).map_err(ReactionError::permanent)?;
        let (content, announced) = match decided {
            Reaction::NotForUs => return Ok(Handled::Ignored(Why::NotForUs)),
            Reaction::Noted => (None, vec![]),
            Reaction::Notify(content) => (Some(content), vec![]),
            Reaction::Introduce(content, announced) => (Some(content), announced),
            Reaction::Forget(announced) => (None, announced),
        };
        if let Some(content) = content {
            let origin = Origin {
                event_id: incoming.envelope.id,
                happened_at: incoming.envelope.time,
                traceparent: trace::current_traceparent(),
            };
            let queued = order.notify(&content, origin, &self.writer, profile).map_err(ReactionError::permanent)?;
            if !queued {
                return Ok(Handled::Duplicate);
            }
        }
        loaded.keep_and_announce(order, &announced, EventId(incoming.envelope.id))?;
        if forgets {
            loaded.erase(order_id);
        }
        Ok(Handled::Applied)
    }

    async fn save(&self, conn: &mut AsyncPgConnection, loaded: Loaded) -> Result<(), ReactionError> {
        Ok(store::save(conn, loaded).await?)
    }

    fn committed(&self) {
        self.workers.iter().for_each(Nudge::nudge);
    }
}

/// The order that an event is about; none if the event isn't for this service.
fn order_of(event: &Event) -> Option<OrderId> {
    let is_for_us = match event {
        Event::Order(
            OrderEvent::Placed(_)
            | OrderEvent::Confirmed(_)
            | OrderEvent::AddressChanged(_)
            | OrderEvent::AddressChangeRefused(_)
            | OrderEvent::CancelRequested(_)
            | OrderEvent::CancelRefused(_)
            | OrderEvent::Cancelled(_)
            | OrderEvent::CallOffRefused(_)
            | OrderEvent::Forgotten(_),
        )
        | Event::Shipment(
            ShipmentEvent::Dispatched(_)
            | ShipmentEvent::TrackingCorrected(_)
            | ShipmentEvent::Delivered(_)
            | ShipmentEvent::Lost(_),
        )
        | Event::Payment(PaymentEvent::ActionRequired(_) | PaymentEvent::Refunded(_)) => true,
        Event::Stock(StockEvent::Restocked(restocked)) => restocked.cause == RestockCause::CalledOff,
        _ => false,
    };
    event.correlation().filter(|_| is_for_us).map(OrderId)
}

/// Whether its letter calls lines by the names that they were ordered under.
fn names_lines(event: &Event) -> bool {
    matches!(event, Event::Order(OrderEvent::Cancelled(_)) | Event::Stock(StockEvent::Restocked(_)))
}
