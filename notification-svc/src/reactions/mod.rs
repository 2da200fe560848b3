//! The reactions of notification-svc. The kit opens the transaction, writes the inbox and commits.

use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError, Reactions, Subscription, Undecodable, Why};
use service_kit::external_calls::Nudge;
use service_kit::trace;
use shared_events::{Event, OrderEvent, OrderId, PaymentEvent, RestockCause, ShipmentEvent, StockEvent, Topic};

use crate::domain::{LetterContent, Order, Origin, Templates, Unwritable};
use crate::store::{self, Loaded};

/// All topics that are keyed by order, but its own.
pub fn subscriptions() -> Vec<Subscription> {
    [Topic::Orders, Topic::Stock, Topic::Payments, Topic::Shipments]
        .map(|topic| Subscription::inbox(topic.name()))
        .into()
}

/// No mail is sent here: the worker does that once the transaction has committed.
pub struct NotificationReactions {
    templates: Templates,
    mails: Nudge,
}

impl NotificationReactions {
    /// Reactions that write letters with `templates` and wake the worker that has them sent.
    pub const fn new(templates: Templates, mails: Nudge) -> Self {
        Self { templates, mails }
    }
}

/// What follows from an event for an order.
enum Reaction {
    NotForUs,
    /// The customer is told this.
    Notify(LetterContent),
    /// Nobody is told, and the order has changed.
    Noted,
}

/// Decides about one event. `order.cancelled` is the last of a cancelled order: goods and money are back by then.
fn decide(order: &mut Order, event: &Event, templates: &Templates) -> Result<Reaction, Unwritable> {
    Ok(Reaction::Notify(match event {
        Event::Order(OrderEvent::Placed(placed)) => {
            order.introduce(placed, templates)?;
            placed.into()
        }
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
        order_of(event).is_some()
    }

    async fn load(&self, conn: &mut AsyncPgConnection, batch: &[Incoming<Event>]) -> Result<Loaded, ReactionError> {
        let orders = batch.iter().filter_map(|incoming| order_of(&incoming.event));
        let named = batch.iter().filter(|incoming| names_lines(&incoming.event));
        Ok(store::load(conn, orders, named.filter_map(|incoming| order_of(&incoming.event))).await?)
    }

    fn react(&self, loaded: &mut Loaded, incoming: &Incoming<Event>) -> Result<Handled, ReactionError> {
        let Some(order_id) = order_of(&incoming.event) else { return Ok(Handled::Ignored(Why::NotForUs)) };
        let mut order = loaded.order(order_id)?.clone();
        let reaction = decide(&mut order, &incoming.event, &self.templates).map_err(ReactionError::permanent)?;
        match reaction {
            Reaction::NotForUs => return Ok(Handled::Ignored(Why::NotForUs)),
            Reaction::Noted => {}
            Reaction::Notify(content) => {
                let origin = Origin {
                    event_id: incoming.envelope.id,
                    happened_at: incoming.envelope.time,
                    traceparent: trace::current_traceparent(),
                };
                let queued = order.notify(&content, origin, &self.templates).map_err(ReactionError::permanent)?;
                if !queued {
                    return Ok(Handled::Duplicate);
                }
            }
        }
        loaded.keep(order)?;
        Ok(Handled::Applied)
    }

    async fn save(&self, conn: &mut AsyncPgConnection, loaded: Loaded) -> Result<(), ReactionError> {
        Ok(store::save(conn, loaded).await?)
    }

    fn committed(&self) {
        self.mails.nudge();
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
            | OrderEvent::CallOffRefused(_),
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
