//! What the service does about the events it reads: they move an order, or update a product's price.

mod fact;
mod product;

use diesel_async::AsyncPgConnection;
use outbox_relay::Nudge;
use service_kit::consumer::{Handled, Incoming, ReactionError, Reactions, Subscription, Undecodable};
use shared_events::{Event, EventId, OrderId, StockEvent, Topic};

use crate::domain::{Decided, Destination, Progress, Refused};
use crate::store::{self, BatchKeys, Loaded};

/// `products.v1` describes the present, so the highest sequence of a SKU replaces the inbox.
pub fn subscriptions() -> Vec<Subscription> {
    vec![
        Subscription::inbox(Topic::Stock.name()),
        Subscription::inbox(Topic::Payments.name()),
        Subscription::inbox(Topic::Shipments.name()),
        Subscription::latest_per_key(Topic::Products.name()),
    ]
}

#[derive(Clone)]
pub struct OrderReactions {
    nudge: Nudge,
}

impl OrderReactions {
    pub const fn new(nudge: Nudge) -> Self {
        Self { nudge }
    }
}

/// What an event changes of an order; none if it isn't about one. The destination matters where stock-svc decides it.
pub fn decide(
    progress: Progress,
    destination: Option<Destination>,
    event: &Event,
    id: EventId,
) -> Option<Result<Decided, Refused>> {
    let step = match event {
        Event::Stock(StockEvent::AddressDecided(decided)) => {
            let decided = destination.ok_or(Refused::NoAddressAsked).and_then(|known| {
                let (destination, events) = known.decided(progress.status, decided)?;
                Ok(Decided { progress, destination: Some(destination), events })
            });
            return Some(decided);
        }
        Event::Stock(stock) => progress.hear_stock(stock, id),
        Event::Payment(payment) => progress.hear_payment(payment),
        Event::Shipment(parcel) => Ok(progress.hear_shipment(parcel, id)),
        Event::Product(_) | Event::Customer(_) | Event::Order(_) | Event::Notification(_) => return None,
    };
    Some(step.map(Decided::from))
}

impl Reactions for OrderReactions {
    type Event = Event;
    type Loaded = Loaded;

    fn decode(&self, event_type: &str, value: &[u8]) -> Result<Event, Undecodable> {
        Event::decode(event_type, value).map_err(|error| Undecodable::new(&error, error.is_unknown_type()))
    }

    fn concerns(&self, event: &Event) -> bool {
        !matches!(event, Event::Order(_) | Event::Customer(_) | Event::Notification(_))
    }

    async fn load(&self, conn: &mut AsyncPgConnection, batch: &[Incoming<Event>]) -> Result<Loaded, ReactionError> {
        let mut wanted = BatchKeys::default();
        for event in batch.iter().map(|incoming| &incoming.event) {
            wanted.orders.extend(event.correlation().map(OrderId));
            match event {
                Event::Stock(StockEvent::AddressDecided(decided)) => wanted.destinations.push(decided.order_id),
                Event::Product(product) => wanted.products.push(product.state().sku.clone()),
                _ => {}
            }
        }
        Ok(store::load(conn, wanted).await?)
    }

    fn react(&self, loaded: &mut Loaded, incoming: &Incoming<Event>) -> Result<Handled, ReactionError> {
        match &incoming.event {
            Event::Product(product) => product::remember(loaded, incoming, product.state()),
            _ => fact::hear(loaded, incoming),
        }
    }

    async fn save(&self, conn: &mut AsyncPgConnection, loaded: Loaded) -> Result<(), ReactionError> {
        Ok(store::save(conn, loaded).await?)
    }

    fn committed(&self) {
        self.nudge.nudge();
    }
}
