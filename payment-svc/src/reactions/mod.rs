//! The reactions of payment-svc, one file an event. The kit opens the transaction, writes the inbox and commits.

mod order_confirmed;
mod order_forgotten;
mod order_placed;
mod shipment_lost;
mod stock_expired;
mod stock_rejected;
mod stock_released;
mod stock_reserved;
mod stock_restocked;

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError, Reactions, Subscription, Undecodable, Why};
use service_kit::external_calls;
use shared_events::{Event, EventId, OrderEvent, OrderId, RefundId, ShipmentEvent, StockEvent, Topic};

use crate::domain::{Payment, Refused, Transition};
use crate::store::{self, Causation, Loaded};

#[derive(Clone, Debug)]
pub struct PaymentReactions {
    /// How long after `stock.reserved` the gateway may still be asked to authorise.
    pub deadline: Duration,
    pub relay: outbox_relay::Nudge,
    /// Wakes the worker that calls the gateway.
    pub calls: external_calls::Nudge,
}

/// The topics that are heard.
pub fn subscriptions() -> Vec<Subscription> {
    [Topic::Orders, Topic::Stock, Topic::Shipments].map(|topic| Subscription::inbox(topic.name())).to_vec()
}

/// What a decision depends on besides the event and the payment.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    pub id: EventId,
    /// The event's own time.
    pub said_at: DateTime<Utc>,
    pub deadline: Duration,
}

impl Circumstances {
    /// The id of the refund that the event causes, should one be needed: the same however often the event is heard.
    fn refund(&self) -> RefundId {
        RefundId::caused_by(self.id)
    }
}

/// What payment-svc does about an event; none if the event isn't for it.
pub fn decide(payment: &mut Payment, event: &Event, by: &Circumstances) -> Option<Result<Transition, Refused>> {
    Some(match event {
        Event::Order(OrderEvent::Placed(placed)) => order_placed::note(payment, placed),
        Event::Order(OrderEvent::Confirmed(_)) => order_confirmed::capture(payment),
        Event::Order(OrderEvent::Forgotten(_)) => order_forgotten::forget(),
        Event::Stock(StockEvent::Reserved(reserved)) => stock_reserved::authorise(payment, reserved, by),
        Event::Stock(StockEvent::Released(_)) => stock_released::undo(payment, by),
        Event::Stock(StockEvent::Restocked(restocked)) => stock_restocked::undo(payment, restocked, by),
        Event::Stock(StockEvent::Rejected(rejected)) => stock_rejected::close(payment, rejected),
        Event::Stock(StockEvent::Expired(_)) => stock_expired::stop(payment),
        Event::Shipment(ShipmentEvent::Lost(lost)) => shipment_lost::refund(payment, lost, by),
        _ => return None,
    })
}

impl Reactions for PaymentReactions {
    type Event = Event;
    type Loaded = Loaded;

    fn decode(&self, event_type: &str, value: &[u8]) -> Result<Event, Undecodable> {
        Event::decode(event_type, value).map_err(|error| Undecodable::new(&error, error.is_unknown_type()))
    }

    fn concerns(&self, event: &Event) -> bool {
        order_of(event).is_some()
    }

    async fn load(&self, conn: &mut AsyncPgConnection, batch: &[Incoming<Event>]) -> Result<Loaded, ReactionError> {
        Ok(store::load(conn, batch.iter().filter_map(|incoming| order_of(&incoming.event))).await?)
    }

    /// A refusal that a race can cause is ignored; one that no race can cause needs a person.
    fn react(&self, loaded: &mut Loaded, incoming: &Incoming<Event>) -> Result<Handled, ReactionError> {
        let Some(order_id) = order_of(&incoming.event) else { return Ok(Handled::Ignored(Why::NotForUs)) };
        let id = EventId(incoming.envelope.id);
        let by = Circumstances { id, said_at: incoming.envelope.time, deadline: self.deadline };
        let mut payment = loaded.payment(order_id)?.clone();
        match decide(&mut payment, &incoming.event, &by) {
            Some(Ok(step)) => {
                loaded.apply(payment, step, &Causation::current(Some(id)))?;
                if let Event::Order(OrderEvent::Forgotten(_)) = &incoming.event {
                    loaded.forget_texts(order_id);
                }
                Ok(Handled::Applied)
            }
            Some(Err(
                race @ (Refused::Not { .. } | Refused::MoreThanRemains { .. } | Refused::RefundNotFailed { .. }),
            )) => Ok(Handled::Ignored(Why::refused(race.to_string()))),
            Some(Err(nonsense @ Refused::NotOrdered { .. })) => Err(ReactionError::permanent(nonsense)),
            None => Ok(Handled::Ignored(Why::NotForUs)),
        }
    }

    async fn save(&self, conn: &mut AsyncPgConnection, loaded: Loaded) -> Result<(), ReactionError> {
        Ok(store::save(conn, loaded).await?)
    }

    fn committed(&self) {
        self.relay.nudge();
        self.calls.nudge();
    }
}

/// The order whose payment, or what staff wrote about it, an event may change.
fn order_of(event: &Event) -> Option<OrderId> {
    let concerns_money = match event {
        Event::Order(OrderEvent::Placed(_) | OrderEvent::Confirmed(_) | OrderEvent::Forgotten(_))
        | Event::Shipment(ShipmentEvent::Lost(_)) => true,
        Event::Stock(stock) => !matches!(stock, StockEvent::Committed(_) | StockEvent::AddressDecided(_)),
        _ => false,
    };
    event.correlation().filter(|_| concerns_money).map(OrderId)
}
