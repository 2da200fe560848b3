//! What this service hears, at one glance.

mod order_address_change_refused;
mod order_address_changed;
mod order_call_off_refused;
mod order_cancel_refused;
mod order_cancelled;
mod order_confirmed;
mod order_ending;
mod order_placed;
mod payment_action_required;
mod payment_refunded;
mod shipment_delivered;
mod shipment_dispatched;
mod shipment_lost;
mod shipment_tracking_corrected;
mod stock_restocked;
mod tell;

use diesel_async::AsyncPgConnection;
use service_kit::consumer::{EventByEvent, Handled, Incoming, ReactionError, Subscription, Undecodable, Why};
use service_kit::external_calls::Nudge;
use shared_events::{
    DecodeError, Event, OrderEvent, OrderId, PaymentEvent, RestockCause, ShipmentEvent, StockEvent, Topic,
};

use crate::domain::Templates;
use crate::store;

/// The topics that are heard: all that are keyed by order, but its own.
pub fn subscriptions() -> Vec<Subscription> {
    [Topic::Orders, Topic::Stock, Topic::Payments, Topic::Shipments]
        .map(|topic| Subscription::inbox(topic.name()))
        .into()
}

/// The reactions of notification-svc.
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

impl EventByEvent for NotificationReactions {
    type Event = Event;

    fn decode(&self, event_type: &str, value: &[u8]) -> Result<Event, Undecodable> {
        Event::decode(event_type, value).map_err(|error| match error {
            DecodeError::UnknownType(_) => Undecodable::UnknownType,
            poison => Undecodable::Poison(poison.to_string()),
        })
    }

    fn concerns(&self, event: &Event) -> bool {
        heard_for(event).is_some()
    }

    async fn prepare(&self, conn: &mut AsyncPgConnection, batch: &[Incoming<Event>]) -> Result<(), ReactionError> {
        store::roots::lock_all(conn, batch.iter().filter_map(|incoming| heard_for(&incoming.event))).await?;
        Ok(())
    }

    async fn react(&self, conn: &mut AsyncPgConnection, incoming: &Incoming<Event>) -> Result<Handled, ReactionError> {
        let texts = &self.templates;
        match &incoming.event {
            Event::Order(OrderEvent::Placed(e)) => order_placed::tell(conn, texts, incoming, e).await,
            Event::Order(OrderEvent::Confirmed(e)) => order_confirmed::tell(conn, texts, incoming, e).await,
            Event::Order(OrderEvent::AddressChanged(e)) => order_address_changed::tell(conn, texts, incoming, e).await,
            Event::Order(OrderEvent::CancelRequested(e)) => order_ending::note(conn, e.order_id, true).await,
            Event::Order(OrderEvent::CancelRefused(e)) => order_cancel_refused::tell(conn, texts, incoming, e).await,
            Event::Order(OrderEvent::Cancelled(e)) => order_cancelled::tell(conn, texts, incoming, e).await,
            Event::Order(OrderEvent::AddressChangeRefused(e)) => {
                order_address_change_refused::tell(conn, texts, incoming, e).await
            }
            Event::Order(OrderEvent::CallOffRefused(e)) => order_call_off_refused::tell(conn, texts, incoming, e).await,
            Event::Stock(StockEvent::Restocked(e)) if e.cause == RestockCause::CalledOff => {
                stock_restocked::tell(conn, texts, incoming, e).await
            }
            Event::Shipment(ShipmentEvent::Dispatched(e)) => shipment_dispatched::tell(conn, texts, incoming, e).await,
            Event::Shipment(ShipmentEvent::TrackingCorrected(e)) => {
                shipment_tracking_corrected::tell(conn, texts, incoming, e).await
            }
            Event::Shipment(ShipmentEvent::Delivered(e)) => shipment_delivered::tell(conn, texts, incoming, e).await,
            Event::Shipment(ShipmentEvent::Lost(e)) => shipment_lost::tell(conn, texts, incoming, e).await,
            Event::Payment(PaymentEvent::ActionRequired(e)) => {
                payment_action_required::tell(conn, texts, incoming, e).await
            }
            Event::Payment(PaymentEvent::Refunded(e)) => payment_refunded::tell(conn, texts, incoming, e).await,
            _ => Ok(Handled::Ignored(Why::NotForUs)),
        }
    }

    fn committed(&self) {
        self.mails.nudge();
    }
}

/// The order that the event is heard for; none for what is not for us, whose roots need no lock.
fn heard_for(event: &Event) -> Option<OrderId> {
    match event {
        Event::Order(OrderEvent::Placed(e)) => Some(e.order_id),
        Event::Order(OrderEvent::Confirmed(e)) => Some(e.order_id),
        Event::Order(OrderEvent::AddressChanged(e)) => Some(e.order_id),
        Event::Order(OrderEvent::CancelRequested(e)) => Some(e.order_id),
        Event::Order(OrderEvent::CancelRefused(e)) => Some(e.order_id),
        Event::Order(OrderEvent::Cancelled(e)) => Some(e.order_id),
        Event::Order(OrderEvent::AddressChangeRefused(e)) => Some(e.order_id),
        Event::Order(OrderEvent::CallOffRefused(e)) => Some(e.order_id),
        Event::Stock(StockEvent::Restocked(e)) if e.cause == RestockCause::CalledOff => Some(e.order_id),
        Event::Shipment(ShipmentEvent::Dispatched(e)) => Some(e.order_id),
        Event::Shipment(ShipmentEvent::TrackingCorrected(e)) => Some(e.order_id),
        Event::Shipment(ShipmentEvent::Delivered(e)) => Some(e.order_id),
        Event::Shipment(ShipmentEvent::Lost(e)) => Some(e.order_id),
        Event::Payment(PaymentEvent::ActionRequired(e)) => Some(e.order_id),
        Event::Payment(PaymentEvent::Refunded(e)) => Some(e.order_id),
        _ => None,
    }
}
