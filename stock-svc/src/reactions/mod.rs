//! The reactions of stock-svc, one file an event. The kit opens the transaction, writes the inbox and commits.

mod order_address_changed;
mod order_call_off_requested;
mod order_cancel_requested;
mod order_confirmed;
mod order_forgotten;
mod order_placed;
mod payment_captured;
mod payment_declined;

use std::time::Duration;

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use outbox_relay::Nudge;
use service_kit::consumer::{Handled, Incoming, ReactionError, Reactions, Subscription, Undecodable, Why};
use shared_events::{Event, EventId, OrderEvent, OrderId, PaymentEvent, Topic};

use crate::domain::{Allocation, Change, Levels, NewParcel, Refused};
use crate::store::{self, Loaded};

#[derive(Clone, Debug)]
pub struct StockReactions {
    /// How long stock is held for an order that is not confirmed.
    pub reservation_ttl: Duration,
    pub nudge: Nudge,
}

pub fn subscriptions() -> Vec<Subscription> {
    [Topic::Orders, Topic::Payments].map(|topic| Subscription::inbox(topic.name())).into()
}

/// What a decision depends on besides the event and the order's allocation.
#[derive(Clone, Debug)]
pub struct Circumstances<'a> {
    pub levels: &'a Levels,
    /// The time of the transaction.
    pub now: DateTime<Utc>,
    pub hold_for: Duration,
    /// The event's `ce_sequence`.
    pub sequence: i64,
    /// The shipment to create, if the decision creates one.
    pub parcel: NewParcel,
}

/// The reaction to an event; none if the event isn't for stock-svc.
pub fn decide(allocation: Allocation, event: &Event, by: &Circumstances<'_>) -> Option<Result<Change, Refused>> {
    Some(match event {
        Event::Order(OrderEvent::Placed(placed)) => order_placed::hold(allocation, placed, by),
        Event::Order(OrderEvent::Confirmed(_)) => order_confirmed::commit(allocation, by),
        Event::Order(OrderEvent::CancelRequested(request)) => {
            order_cancel_requested::give_back(allocation, request, by)
        }
        Event::Order(OrderEvent::CallOffRequested(_)) => order_call_off_requested::call_off(allocation, by),
        Event::Order(OrderEvent::AddressChanged(changed)) => order_address_changed::readdress(allocation, changed, by),
        Event::Order(OrderEvent::AddressChangeRequested(asked)) => order_address_changed::decide(allocation, asked, by),
        Event::Order(OrderEvent::Forgotten(_)) => order_forgotten::forget(allocation),
        Event::Payment(PaymentEvent::Declined(declined)) if !declined.retryable => {
            payment_declined::release(allocation)
        }
        Event::Payment(PaymentEvent::Captured(_)) => payment_captured::create_shipment(allocation, by),
        _ => return None,
    })
}

impl Reactions for StockReactions {
    type Event = Event;
    type Loaded = Loaded;

    fn decode(&self, event_type: &str, value: &[u8]) -> Result<Event, Undecodable> {
        Event::decode(event_type, value).map_err(|error| Undecodable::new(&error, error.is_unknown_type()))
    }

    fn concerns(&self, event: &Event) -> bool {
        order_of(event).is_some() || matches!(event, Event::Payment(PaymentEvent::Declined(_)))
    }

    async fn load(&self, conn: &mut AsyncPgConnection, batch: &[Incoming<Event>]) -> Result<Loaded, ReactionError> {
        let orders: Vec<_> = batch.iter().filter_map(|incoming| order_of(&incoming.event)).collect();
        let mut skus = Vec::new();
        for incoming in batch {
            if let Event::Order(OrderEvent::Placed(placed)) = &incoming.event {
                skus.extend(placed.lines.iter().map(|line| line.sku.clone()));
            }
        }
        Ok(store::load(conn, orders, skus).await?)
    }

    fn react(&self, loaded: &mut Loaded, incoming: &Incoming<Event>) -> Result<Handled, ReactionError> {
        let (event, sequence) = (&incoming.event, incoming.envelope.sequence);
        let Some(order_id) = order_of(event) else { return Ok(Handled::Ignored(Why::NotForUs)) };
        if sequence.is_none() && is_ranked(event) {
            return Err(ReactionError::permanent(anyhow!(
                "a change of address without ce_sequence can't be put in order"
            )));
        }
        let by = Circumstances {
            levels: loaded.levels(),
            now: loaded.now,
            hold_for: self.reservation_ttl,
            sequence: sequence.unwrap_or_default(),
            parcel: loaded.new_parcel(),
        };
        match decide(loaded.allocation(order_id)?.clone(), event, &by) {
            Some(Ok(change)) => {
                loaded.apply(change, Some(EventId(incoming.envelope.id)))?;
                if let Event::Order(OrderEvent::Forgotten(_)) = event {
                    loaded.forget_responses(order_id);
                }
                Ok(Handled::Applied)
            }
            Some(Err(refused)) => Ok(Handled::Ignored(Why::refused(refused.to_string()))),
            None => Ok(Handled::Ignored(Why::NotForUs)),
        }
    }

    async fn save(&self, conn: &mut AsyncPgConnection, loaded: Loaded) -> Result<(), ReactionError> {
        Ok(store::save(conn, loaded).await?)
    }

    fn committed(&self) {
        self.nudge.nudge();
    }
}

/// The order whose stock or addresses an event may change.
fn order_of(event: &Event) -> Option<OrderId> {
    let concerns_goods = match event {
        Event::Order(
            OrderEvent::Placed(_)
            | OrderEvent::Confirmed(_)
            | OrderEvent::CancelRequested(_)
            | OrderEvent::CallOffRequested(_)
            | OrderEvent::AddressChanged(_)
            | OrderEvent::AddressChangeRequested(_)
            | OrderEvent::Forgotten(_),
        )
        | Event::Payment(PaymentEvent::Captured(_)) => true,
        Event::Payment(PaymentEvent::Declined(declined)) => !declined.retryable,
        _ => false,
    };
    event.correlation().filter(|_| concerns_goods).map(OrderId)
}

/// Whether the order of these events matters: a change of address that is delivered again must not undo a later one.
const fn is_ranked(event: &Event) -> bool {
    matches!(event, Event::Order(OrderEvent::AddressChanged(_) | OrderEvent::AddressChangeRequested(_)))
}
