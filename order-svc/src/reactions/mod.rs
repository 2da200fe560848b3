//! What the service hears, and what it does about it: facts move an order, products are remembered for their price.

mod address_decided;
mod fact;
mod product;

use diesel_async::AsyncPgConnection;
use outbox_relay::Nudge;
use service_kit::consumer::{EventByEvent, Handled, Incoming, ReactionError, Subscription, Undecodable, Why};
use shared_events::{DecodeError, Event, EventId, StockEvent, Topic};

use crate::store;

/// The topics heard. `products.v1` tells the present, so the highest sequence of a SKU takes the place of the inbox.
pub fn subscriptions() -> Vec<Subscription> {
    vec![
        Subscription::inbox(Topic::Stock.name()),
        Subscription::inbox(Topic::Payments.name()),
        Subscription::inbox(Topic::Shipments.name()),
        Subscription::latest_per_key(Topic::Products.name()),
    ]
}

/// Reacts to what other services say.
#[derive(Clone)]
pub struct OrderReactions {
    nudge: Nudge,
}

impl OrderReactions {
    /// Reactions that wake this relay.
    pub const fn new(nudge: Nudge) -> Self {
        Self { nudge }
    }
}

impl EventByEvent for OrderReactions {
    type Event = Event;

    fn decode(&self, event_type: &str, value: &[u8]) -> Result<Event, Undecodable> {
        Event::decode(event_type, value).map_err(|error| match error {
            DecodeError::UnknownType(_) => Undecodable::UnknownType,
            other => Undecodable::Poison(other.to_string()),
        })
    }

    fn concerns(&self, event: &Event) -> bool {
        !matches!(event, Event::Order(_) | Event::Notification(_))
    }

    /// Locks the orders of the whole batch, sorted.
    async fn prepare(&self, conn: &mut AsyncPgConnection, batch: &[Incoming<Event>]) -> Result<(), ReactionError> {
        let mut ids: Vec<_> = batch.iter().filter_map(|incoming| incoming.event.correlation()).collect();
        ids.sort_unstable();
        ids.dedup();
        if !ids.is_empty() {
            store::roots::lock_all(conn, &ids).await?;
        }
        Ok(())
    }

    async fn react(&self, conn: &mut AsyncPgConnection, incoming: &Incoming<Event>) -> Result<Handled, ReactionError> {
        match &incoming.event {
            Event::Stock(StockEvent::AddressDecided(decided)) => address_decided::tell(conn, incoming, decided).await,
            Event::Stock(stock) => {
                let id = EventId(incoming.envelope.id);
                fact::hear(conn, incoming, |order| order.hear_stock(stock, id)).await
            }
            Event::Payment(payment) => fact::hear(conn, incoming, |order| order.hear_payment(payment)).await,
            Event::Shipment(parcel) => {
                let id = EventId(incoming.envelope.id);
                fact::hear(conn, incoming, |order| Ok(order.hear_shipment(parcel, id))).await
            }
            Event::Product(product) => product::remember(conn, incoming, product.state()).await,
            Event::Order(_) | Event::Notification(_) => Ok(Handled::Ignored(Why::NotForUs)),
        }
    }

    fn committed(&self) {
        self.nudge.nudge();
    }
}
