//! How long an order should wait for each event. One that waits longer is overdue: `orders_overdue` counts it, and
//! `quadrille stuck` looks for the cause.

use chrono::{DateTime, TimeDelta, Utc};

use super::waiting::{CUSTOMER, PAYMENT, STAFF, STOCK};
use super::{PaymentFact, Progress, WaitingFor};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// Every event that an order can wait for, from whom, and for how many seconds at most.
pub const PATIENCE: [(WaitingFor, i64); 13] = [
    // Machines do these at once. An order is to be confirmed within five seconds.
    (WaitingFor { fact: "stock.reserved", from: STOCK }, 5),
    (WaitingFor { fact: "stock.committed", from: STOCK }, 5),
    (WaitingFor { fact: "stock.released", from: STOCK }, 5),
    (WaitingFor { fact: "stock.restocked", from: STOCK }, 5),
    (WaitingFor { fact: "shipment.created", from: STOCK }, 5),
    // These ask the gateway, which takes a second or two and may stumble once.
    (WaitingFor { fact: "payment.authorized", from: PAYMENT }, 5),
    (WaitingFor { fact: "payment.captured", from: PAYMENT }, 10),
    (WaitingFor { fact: "payment.voided", from: PAYMENT }, 10),
    (WaitingFor { fact: "payment.refunded", from: PAYMENT }, 10),
    // People do these. A customer who doesn't act loses the order to its deadline, 20 minutes after it was placed.
    (WaitingFor { fact: "payment.authorized", from: CUSTOMER }, 20 * MINUTE),
    (WaitingFor { fact: "payment.refunded", from: STAFF }, DAY),
    (WaitingFor { fact: "shipment.dispatched", from: STOCK }, 2 * DAY),
    (WaitingFor { fact: "shipment.delivered", from: STOCK }, 14 * DAY),
];

/// payment-svc tries a declined payment again 30 s later, and once more 2 min after that.
const RETRIES: i64 = 30 + 2 * MINUTE;

/// How far `overdue_not_before` may lie before `overdue_at`.
const SLACK: TimeDelta = TimeDelta::hours(1);

impl WaitingFor {
    /// Whether people must act: the customer, staff, the warehouse, or a carrier.
    pub fn needs_people(&self) -> bool {
        [CUSTOMER, STAFF].contains(&self.from) || ["shipment.dispatched", "shipment.delivered"].contains(&self.fact)
    }
}

impl Progress {
    /// How long the order should wait at most for [`Progress::waiting_for`]; none once it has ended.
    pub fn patience(&self) -> Option<TimeDelta> {
        let waiting = self.waiting_for()?;
        let (_, seconds) = PATIENCE.into_iter().find(|(known, _)| *known == waiting)?;
        let is_tried_again = waiting.from == PAYMENT && self.facts.payment == Some(PaymentFact::DeclinedForNow);
        Some(TimeDelta::seconds(if is_tried_again { seconds + RETRIES } else { seconds }))
    }
}

/// A time before which the order is not overdue: `known` if that is good enough, so that it moves seldom.
pub fn overdue_not_before(known: Option<DateTime<Utc>>, overdue_at: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    let overdue_at = overdue_at?;
    let is_good_enough = |known: &DateTime<Utc>| (TimeDelta::zero()..SLACK).contains(&(overdue_at - *known));
    Some(known.filter(is_good_enough).unwrap_or(overdue_at))
}
