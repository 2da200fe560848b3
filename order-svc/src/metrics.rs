//! What is measured of orders. It is counted when it is written: a transaction that fails at its commit and is repeated
//! counts twice.

use std::time::Duration;

use chrono::{DateTime, Utc};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use shared_events::{CancelReason, OrderId};

use crate::domain::{Status, WaitingFor};

/// Whom an order waits for that only its customer can confirm (`WaitingFor::from`).
const CUSTOMER: &str = "customer";

/// An order whose status has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    from: Status,
    to: Status,
    /// How long ago it was placed; nothing if its id doesn't tell.
    age: Option<Duration>,
    /// Who had to act before the status changed: a service, the customer, staff.
    waited_for: &'static str,
}

impl Moved {
    pub fn new(id: OrderId, (from, to): (Status, Status), now: DateTime<Utc>, waited_for: &'static str) -> Self {
        // UUID v7 begins with the milliseconds since 1970 (RFC 9562, 5.7)
        let placed = id.0.get_timestamp().map(|time| time.to_unix());
        let placed = placed.and_then(|(seconds, nanos)| DateTime::from_timestamp(seconds.try_into().ok()?, nanos));
        Self { from, to, age: placed.map(|placed| (now - placed).to_std().unwrap_or_default()), waited_for }
    }
}

/// Counts changes of status, and notes how long they took.
pub fn note(moved: &[Moved]) {
    for Moved { from, to, age, waited_for } in moved {
        let reason = to.reason().map_or("", |reason| reason.as_str());
        counter!("order_status_changes_total", "status" => to.name(), "reason" => reason).increment(1);
        let timed_out = *from == Status::Pending && to.reason() == Some(CancelReason::Timeout);
        if timed_out && *waited_for != CUSTOMER {
            counter!("order_confirmations_timed_out_total").increment(1);
        }
        let Some(age) = age.map(|age| age.as_secs_f64()) else { continue };
        match to {
            Status::Confirmed => histogram!("order_confirmed_seconds", "waited_for" => *waited_for).record(age),
            Status::Completed | Status::Cancelled(_) => {
                histogram!("order_ended_age_seconds", "status" => to.name()).record(age);
            }
            _ => {}
        }
    }
}

/// Tells how many orders wait for this longer than they should, and how long the first of them has waited.
pub fn overdue(waiting: WaitingFor, orders: i64, oldest_seconds: f64) {
    let labels = [("waiting_for", waiting.fact), ("waiting_from", waiting.from)];
    gauge!("orders_overdue", &labels).set(orders as f64);
    gauge!("orders_overdue_oldest_seconds", &labels).set(oldest_seconds);
}

/// Says what each metric is.
pub fn describe() {
    describe_counter!("order_status_changes_total", "Orders that came to a status, with the reason of a cancellation.");
    describe_histogram!(
        "order_confirmed_seconds",
        "How long after it was placed an order was confirmed, by who had to act last: the customer takes as long as they like."
    );
    describe_counter!(
        "order_confirmations_timed_out_total",
        "Orders that a timeout cancelled before they were confirmed, without those that waited for their customer."
    );
    counter!("order_confirmations_timed_out_total").increment(0);
    describe_histogram!("order_ended_age_seconds", "How long after it was placed an order ended, by how.");
    describe_gauge!(
        "orders_overdue",
        "Orders that wait longer than they should, by the event that they wait for and who must act; up to ten thousand in \
         all. Each instance counts all orders."
    );
    describe_gauge!(
        "orders_overdue_oldest_seconds",
        "How long the overdue order has waited that has waited longest, by the event and who must act; 0 if none is overdue."
    );
    describe_gauge!("order_streams_open", "Streams of events that are open.");
    describe_counter!(
        "order_streams_cut_total",
        "Streams of events that were ended since their readers were too slow."
    );
    counter!("order_streams_cut_total").increment(0);
}
