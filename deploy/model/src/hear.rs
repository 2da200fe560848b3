//! What each service does about an event: its own reactions are called. `tests/same_as_reactions.rs` checks that what is
//! made of their decisions agrees with the real services.

use std::time::Duration;

use chrono::{DateTime, Utc};
use order_svc::domain::{Decided, Refused as OrderRefused, Transition as OrderStep};
use payment_svc::domain::{Payment, Refused as PaymentRefused, Transition};
use shared_events::{Event, EventId, ShipmentId};
use stock_svc::domain::{Allocation, Change, Levels, NewParcel, Refused as StockRefused};
use uuid::Uuid;

use crate::world::OrderRow;

/// How long payment-svc goes on asking the gateway.
pub const PATIENCE: Duration = Duration::from_secs(14 * 60);

/// The time of every decision. Time passes only through timers, which fire when the explorer says so.
pub const fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

/// How long a reservation is held.
const HOLD_FOR: Duration = Duration::from_secs(15 * 60);

/// The shipment that a decision would create: number 0 is the whole order, 1 and 2 are the parts of a split.
pub fn new_parcel(number: u128) -> NewParcel {
    NewParcel { id: ShipmentId(Uuid::from_u128(0x5 + number)), at: now() }
}

/// order-svc's own reaction; none if the event is not for it, or is older than what it knows.
pub fn order(row: &mut OrderRow, event: &Event, id: EventId, sequence: i64) -> Option<Result<OrderStep, OrderRefused>> {
    if !row.last_sequences.note(event.topic(), sequence) {
        return None;
    }
    let decided = order_svc::reactions::decide(row.progress.clone(), Some(row.destination.clone()), event, id)?;
    Some(decided.map(|Decided { progress, destination, events }| {
        row.destination = destination.unwrap_or_else(|| row.destination.clone());
        (progress, events)
    }))
}

/// stock-svc's own reaction.
pub fn stock(
    allocation: Allocation,
    event: &Event,
    sequence: i64,
    levels: &Levels,
) -> Option<Result<Change, StockRefused>> {
    let by =
        stock_svc::reactions::Circumstances { levels, now: now(), hold_for: HOLD_FOR, sequence, parcel: new_parcel(0) };
    stock_svc::reactions::decide(allocation, event, &by)
}

/// payment-svc's own reaction.
pub fn payment(payment: &mut Payment, event: &Event, id: EventId) -> Option<Result<Transition, PaymentRefused>> {
    let by = payment_svc::reactions::Circumstances { id, said_at: now(), deadline: PATIENCE };
    payment_svc::reactions::decide(payment, event, &by)
}
