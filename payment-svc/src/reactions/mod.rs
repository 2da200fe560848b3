//! What payment-svc hears, at one glance.

mod order_confirmed;
mod order_placed;
mod shipment_lost;
mod stock_expired;
mod stock_rejected;
mod stock_released;
mod stock_reserved;
mod stock_restocked;

use std::time::Duration;

use diesel_async::AsyncPgConnection;
use service_kit::{
    consumer::{EventByEvent, Handled, Incoming, ReactionError, Subscription, Undecodable, Why},
    external_calls,
};
use shared_events::{DecodeError, Event, OrderEvent, OrderId, ShipmentEvent, StockEvent, Topic};

use crate::store::roots;

/// The reactions, and what they are set up with.
#[derive(Clone, Debug)]
pub struct PaymentReactions {
    /// How long after `stock.reserved` the gateway may still be asked to authorise.
    pub deadline: Duration,
    /// Wakes the relay.
    pub relay: outbox_relay::Nudge,
    /// Wakes the worker that calls the gateway.
    pub calls: external_calls::Nudge,
}

/// The topics that are heard.
pub fn subscriptions() -> Vec<Subscription> {
    [Topic::Orders, Topic::Stock, Topic::Shipments].map(|topic| Subscription::inbox(topic.name())).to_vec()
}

impl EventByEvent for PaymentReactions {
    type Event = Event;

    fn decode(&self, event_type: &str, value: &[u8]) -> Result<Event, Undecodable> {
        Event::decode(event_type, value).map_err(|error| match error {
            DecodeError::UnknownType(_) => Undecodable::UnknownType,
            DecodeError::UnknownVersion { .. } | DecodeError::Malformed { .. } => {
                Undecodable::Poison(error.to_string())
            }
        })
    }

    fn concerns(&self, event: &Event) -> bool {
        concerned(event).is_some()
    }

    async fn prepare(&self, conn: &mut AsyncPgConnection, batch: &[Incoming<Event>]) -> Result<(), ReactionError> {
        let orders = batch.iter().filter_map(|incoming| concerned(&incoming.event)).collect();
        Ok(roots::lock_all(conn, orders).await?)
    }

    async fn react(&self, conn: &mut AsyncPgConnection, incoming: &Incoming<Event>) -> Result<Handled, ReactionError> {
        match &incoming.event {
            Event::Order(OrderEvent::Placed(placed)) => order_placed::note(conn, incoming, placed).await,
            Event::Order(OrderEvent::Confirmed(confirmed)) => order_confirmed::capture(conn, incoming, confirmed).await,
            Event::Stock(StockEvent::Reserved(reserved)) => {
                stock_reserved::authorise(conn, incoming, reserved, self.deadline).await
            }
            Event::Stock(StockEvent::Released(released)) => stock_released::undo(conn, incoming, released).await,
            Event::Stock(StockEvent::Restocked(restocked)) => stock_restocked::undo(conn, incoming, restocked).await,
            Event::Stock(StockEvent::Rejected(rejected)) => stock_rejected::close(conn, incoming, rejected).await,
            Event::Stock(StockEvent::Expired(expired)) => stock_expired::stop(conn, incoming, expired).await,
            Event::Shipment(ShipmentEvent::Lost(lost)) => shipment_lost::refund(conn, incoming, lost).await,
            _ => Ok(Handled::Ignored(Why::NotForUs)),
        }
    }

    fn committed(&self) {
        self.relay.nudge();
        self.calls.nudge();
    }
}

/// The order whose root an event needs, if it is for us.
fn concerned(event: &Event) -> Option<OrderId> {
    match event {
        Event::Order(OrderEvent::Placed(_) | OrderEvent::Confirmed(_)) => order_of(event),
        Event::Stock(StockEvent::Committed(_) | StockEvent::AddressDecided(_)) => None,
        Event::Stock(_) | Event::Shipment(ShipmentEvent::Lost(_)) => order_of(event),
        _ => None,
    }
}

fn order_of(event: &Event) -> Option<OrderId> {
    event.correlation().map(OrderId)
}
