//! What stock-svc hears, a file an event. The kit opens the transaction, writes the inbox and commits.

mod order_address_changed;
mod order_call_off_requested;
mod order_cancel_requested;
mod order_confirmed;
mod order_placed;
mod payment_captured;
mod payment_declined;

use std::time::Duration;

use diesel_async::AsyncPgConnection;
use outbox_relay::Nudge;
use service_kit::consumer::{Handled, Incoming, ReactionError, Reactions, Subscription, Undecodable, Why};
use shared_events::{DecodeError, Event, EventId, OrderEvent, PaymentEvent, StockLine, Topic};

use crate::domain::{Change, Refused, lines_of};
use crate::store::levels;
use crate::store::roots::{self, Root};

/// What stock-svc does about what it hears.
#[derive(Clone, Debug)]
pub struct StockReactions {
    /// How long a hold lasts unless it is made firm.
    pub reservation_ttl: Duration,
    /// Wakes the relay after a commit.
    pub nudge: Nudge,
}

/// The topics that stock-svc hears.
pub fn subscriptions() -> Vec<Subscription> {
    [Topic::Orders, Topic::Payments].map(|topic| Subscription::inbox(topic.name())).into()
}

impl Reactions for StockReactions {
    type Event = Event;

    fn decode(&self, event_type: &str, value: &[u8]) -> Result<Event, Undecodable> {
        Event::decode(event_type, value).map_err(|error| match error {
            DecodeError::UnknownType(_) => Undecodable::UnknownType,
            other => Undecodable::Poison(other.to_string()),
        })
    }

    fn concerns(&self, event: &Event) -> bool {
        concerns(event) || matches!(event, Event::Payment(PaymentEvent::Declined(_)))
    }

    /// All roots, then all SKUs, each sorted: whatever the lanes hear at once, they wait for each other in one order.
    async fn prepare(&self, conn: &mut AsyncPgConnection, batch: &[Incoming<Event>]) -> Result<(), ReactionError> {
        let heard: Vec<&Event> = batch.iter().map(|incoming| &incoming.event).filter(|event| concerns(event)).collect();
        let orders = heard.iter().filter_map(|event| event.correlation()).collect();
        let mut lines = roots::lock_all(conn, orders).await?;
        for event in heard {
            if let Event::Order(OrderEvent::Placed(placed)) = event {
                lines.extend(lines_of(placed));
            }
        }
        levels::lock(conn, skus(&lines)).await?;
        Ok(())
    }

    async fn react(&self, conn: &mut AsyncPgConnection, incoming: &Incoming<Event>) -> Result<Handled, ReactionError> {
        match &incoming.event {
            Event::Order(OrderEvent::Placed(placed)) => {
                order_placed::hold(conn, incoming, placed, self.reservation_ttl).await
            }
            Event::Order(OrderEvent::Confirmed(confirmed)) => order_confirmed::commit(conn, incoming, confirmed).await,
            Event::Order(OrderEvent::CancelRequested(request)) => {
                order_cancel_requested::give_back(conn, incoming, request).await
            }
            Event::Order(OrderEvent::AddressChanged(changed)) => {
                order_address_changed::readdress(conn, incoming, changed).await
            }
            Event::Order(OrderEvent::AddressChangeRequested(request)) => {
                order_address_changed::decide(conn, incoming, request).await
            }
            Event::Order(OrderEvent::CallOffRequested(request)) => {
                order_call_off_requested::call_off(conn, incoming, request).await
            }
            Event::Payment(PaymentEvent::Declined(declined)) if !declined.retryable => {
                payment_declined::release(conn, incoming, declined).await
            }
            Event::Payment(PaymentEvent::Captured(captured)) => {
                payment_captured::create_shipment(conn, incoming, captured).await
            }
            _ => Ok(Handled::Ignored(Why::NotForUs)),
        }
    }

    fn committed(&self) {
        self.nudge.nudge();
    }
}

/// Whether there is a reaction to it.
fn concerns(event: &Event) -> bool {
    match event {
        Event::Order(
            OrderEvent::Placed(_)
            | OrderEvent::Confirmed(_)
            | OrderEvent::CancelRequested(_)
            | OrderEvent::CallOffRequested(_)
            | OrderEvent::AddressChanged(_)
            | OrderEvent::AddressChangeRequested(_),
        ) => true,
        Event::Payment(PaymentEvent::Declined(declined)) => !declined.retryable,
        Event::Payment(PaymentEvent::Captured(_)) => true,
        _ => false,
    }
}

fn skus(lines: &[StockLine]) -> impl Iterator<Item = &shared_events::Sku> {
    lines.iter().map(|line| &line.sku)
}

/// Carries out what was decided about an event, or says why nothing was.
async fn conclude(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    mut root: Root,
    decided: Result<Change, Refused>,
) -> Result<Handled, ReactionError> {
    match decided {
        Ok(change) => {
            let because_of = Some(EventId(incoming.envelope.id));
            roots::keep_and_announce(conn, &mut root, change, because_of).await?;
            Ok(Handled::Applied)
        }
        Err(refused) => Ok(Handled::Ignored(Why::refused(refused.to_string()))),
    }
}
