//! What each service does about what it hears: the matches of the three `reactions/mod.rs`, without their SQL. What is
//! decided is decided by the services' domain. `tests/same_as_reactions.rs` holds these matches and the reactions together.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use order_svc::domain::{Refused as OrderRefused, Step as OrderStep};
use payment_svc::domain::{Charge, Payment, Refused as PaymentRefused, Step, refund_because_of};
use shared_events::{CancelReason, Event, EventId, OrderEvent, PaymentEvent, ShipmentEvent, ShipmentId, StockEvent};
use stock_svc::domain::{Change, Goods, Levels, NewParcel, Refused as StockRefused, lines_of};
use uuid::Uuid;

use crate::world::OrderRow;

/// How long the gateway may be asked.
pub const PATIENCE: Duration = Duration::from_secs(14 * 60);

/// The time of every decision: what passes of it are timers, and those fire when the explorer says so.
pub const fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

/// When a hold ends.
fn expires_at() -> DateTime<Utc> {
    now() + TimeDelta::minutes(15)
}

/// The parcel of that number, should a decision make one now: 0 is the whole order, 1 and 2 what it is split into.
pub fn new_parcel(number: u128) -> NewParcel {
    NewParcel { id: ShipmentId(Uuid::from_u128(0x5 + number)), at: now() }
}

/// order-svc: nothing when it isn't for it, or older than what it knows.
pub fn order(row: &mut OrderRow, event: &Event, id: EventId, sequence: i64) -> Option<Result<OrderStep, OrderRefused>> {
    if !row.ranks.note(event.topic(), sequence) {
        return None;
    }
    let progress = row.progress.clone();
    Some(match event {
        Event::Stock(StockEvent::AddressDecided(decided)) => {
            let decided = row.destination.clone().decided(progress.status, decided);
            decided.map(|(destination, says)| {
                row.destination = destination;
                (progress, says)
            })
        }
        Event::Stock(stock) => progress.hear_stock(stock, id),
        Event::Payment(payment) => progress.hear_payment(payment),
        Event::Shipment(parcel) => Ok(progress.hear_shipment(parcel, id)),
        Event::Order(_) | Event::Notification(_) | Event::Product(_) => return None,
    })
}

/// stock-svc.
pub fn stock(goods: Goods, event: &Event, sequence: i64, levels: &Levels) -> Option<Result<Change, StockRefused>> {
    Some(match event {
        Event::Order(OrderEvent::Placed(placed)) => {
            goods.to(placed.delivery_address.clone()).place(lines_of(placed), levels, expires_at())
        }
        Event::Order(OrderEvent::Confirmed(_)) => goods.confirm(levels, new_parcel(0)),
        Event::Order(OrderEvent::CancelRequested(request)) => goods.cancel(request.reason, now()),
        Event::Order(OrderEvent::AddressChanged(changed)) => goods.readdress(&changed.delivery_address, sequence),
        Event::Order(OrderEvent::AddressChangeRequested(asked)) => {
            goods.decide_address(&asked.delivery_address, sequence)
        }
        Event::Order(OrderEvent::CallOffRequested(_)) => goods.call_off(None, now()),
        Event::Payment(PaymentEvent::Declined(declined)) if !declined.retryable => {
            goods.release(CancelReason::PaymentDeclined)
        }
        Event::Payment(PaymentEvent::Captured(_)) => goods.capture(new_parcel(0)),
        _ => return None,
    })
}

/// payment-svc.
pub fn payment(payment: &mut Payment, event: &Event, id: EventId) -> Option<Result<Step, PaymentRefused>> {
    Some(match event {
        Event::Order(OrderEvent::Placed(placed)) => payment.placed(Charge::of(placed)),
        Event::Order(OrderEvent::Confirmed(_)) => payment.confirmed(),
        Event::Stock(StockEvent::Reserved(reserved)) => payment.reserved(reserved, now(), PATIENCE),
        Event::Stock(StockEvent::Released(_)) => payment.released(refund_because_of(id)),
        Event::Stock(StockEvent::Restocked(restocked)) => payment.restocked(refund_because_of(id), restocked),
        Event::Stock(StockEvent::Rejected(rejected)) => payment.rejected(&rejected.rejection),
        Event::Stock(StockEvent::Expired(_)) => payment.expired(),
        Event::Shipment(ShipmentEvent::Lost(lost)) => payment.lost(refund_because_of(id), lost),
        _ => return None,
    })
}
