//! Rules 6 and 10: orders and their course.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::evidence::Evidence;
use super::findings::Broken;
use super::rows::{Order, Shipment};

/// A cancellation waits for a parcel to be stopped and for the gateway, a capture for the gateway: minutes, if all is
/// well.
pub(super) const SOON: TimeDelta = TimeDelta::minutes(10);

/// Rule 6.
pub(super) fn ends(evidence: &Evidence, broken: &mut Broken) {
    for order in &evidence.lost_orders {
        broken.order(order, "its POST was answered, and it isn't there");
    }
    for timer in &evidence.overdue {
        let what =
            format!("the timer {} of {} was due at {:.0} and has not fired", timer.kind, timer.service, timer.due_at);
        broken.order(&timer.key, what);
    }
    for order in evidence.orders.values() {
        let waits_long = order.waiting_since + SOON < evidence.now;
        let since = order.waiting_since;
        match order.status.as_str() {
            "cancelling" if waits_long => broken.order(&order.id, format!("it has been cancelling since {since:.0}")),
            "pending" if order.deadline + SOON < evidence.now => {
                broken.order(&order.id, format!("it is pending, and its deadline was {:.0}", order.deadline));
            }
            "confirmed" | "shipped" if waits_long && !order.captured => {
                broken.order(&order.id, format!("it is {}, and not paid since {since:.0}", order.status));
            }
            _ => {}
        }
    }
    goes_on(evidence, broken);
    let ended = evidence.orders.values().filter(|order| matches!(&*order.status, "completed" | "cancelled")).count();
    broken.figures.count("orders", evidence.orders.len());
    broken.figures.count("of them ended", ended);
}

/// An order that is firm and paid gets a parcel at once, and one that has arrived ends: neither waits for anybody.
fn goes_on(evidence: &Evidence, broken: &mut Broken) {
    let mut parcels = BTreeMap::<&str, Vec<&Shipment>>::new();
    for parcel in &evidence.shipments {
        parcels.entry(&parcel.order_id).or_default().push(parcel);
    }
    for goods in evidence.reservations.values().filter(|goods| goods.reservation.as_deref() == Some("committed")) {
        let id = &goods.order_id;
        let Some(payment) = evidence.payments.get(id).filter(|payment| payment.captured > 0) else { continue };
        let parcels = parcels.get(id.as_str()).into_iter().flatten().filter(|parcel| parcel.status != "cancelled");
        let arrived =
            |parcel: &&Shipment| parcel.arrived_at.filter(|_| matches!(&*parcel.status, "delivered" | "returned"));
        let arrivals: Vec<_> = parcels.map(arrived).collect();
        let paid_since = goods.updated_at.max(payment.updated_at);
        if arrivals.is_empty() && paid_since + SOON < evidence.now {
            broken.order(id, format!("it is committed and paid since {paid_since:.0}, and has no parcel"));
        }
        let last = arrivals.into_iter().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
        let open = evidence.orders.get(id).filter(|order| order.status != "completed");
        if let (Some(last), Some(order)) = (last, open)
            && last.max(payment.updated_at) + SOON < evidence.now
        {
            broken.order(id, format!("it is {}, and all its parcels have arrived since {last:.0}", order.status));
        }
    }
}

/// Rule 10.
pub(super) fn transitions(evidence: &Evidence, broken: &mut Broken) {
    let mut steps = BTreeMap::<&str, Vec<_>>::new();
    // what is recorded after a history was let go of has no beginning
    let pruned = |id: &str| evidence.orders.get(id).is_some_and(|order| order.history_pruned);
    for step in evidence.history.iter().filter(|step| !pruned(&step.order_id)) {
        steps.entry(&step.order_id).or_default().push(step);
    }
    for (order, steps) in &mut steps {
        steps.sort_by_key(|step| step.position);
        for (place, step) in steps.iter().enumerate() {
            if let (Some(before), after) = (&step.status_before, &step.status)
                && before != after
                && !is_legal(before, after)
            {
                broken.order(order, format!("step {} of its history is from {before} to {after}", step.position));
            }
            if i64::try_from(place + 1) != Ok(step.position) {
                broken.order(order, format!("step {} of its history is missing", place + 1));
                break;
            }
        }
        let recorded = evidence.orders.get(*order).map(|order| (order.recorded, &order.status));
        let last = steps.last().map(|step| (step.position, &step.status));
        if recorded != last {
            broken.order(order, format!("it is at {recorded:?}, its history at {last:?}"));
        }
    }
    let silent = |order: &&Order| order.recorded > 0 && !order.history_pruned && !steps.contains_key(&*order.id);
    for order in evidence.orders.values().filter(silent) {
        broken.order(&order.id, format!("its history of {} steps is gone", order.recorded));
    }
    happened_in_order(evidence, broken);
    broken.figures.count("steps", evidence.history.len());
    broken.figures.count("histories", steps.len());
}

fn is_legal(before: &str, after: &str) -> bool {
    match before {
        "pending" => matches!(after, "confirmed" | "cancelling" | "cancelled"),
        "confirmed" => matches!(after, "partially_shipped" | "shipped" | "cancelling"),
        // what was called off may be the last that was awaited
        "partially_shipped" => matches!(after, "shipped" | "completed"),
        "shipped" => after == "completed",
        // what was dispatched before stock-svc heard of it goes on: cancel_refused
        "cancelling" => matches!(after, "cancelled" | "partially_shipped" | "shipped"),
        _ => false,
    }
}

/// Events that can only come after another one of the same topic.
const AFTER: [(&str, &str); 12] = [
    ("order.confirmed.v1", "order.placed.v1"),
    ("order.completed.v1", "order.confirmed.v1"),
    ("order.cancelled.v1", "order.placed.v1"),
    ("order.forgotten.v1", "order.placed.v1"),
    ("order.call_off_refused.v1", "order.call_off_requested.v1"),
    ("order.address_change_refused.v1", "order.address_change_requested.v1"),
    ("payment.captured.v1", "payment.authorized.v1"),
    ("payment.refunded.v1", "payment.captured.v1"),
    ("stock.restocked.v1", "stock.committed.v1"),
    ("shipment.dispatched.v1", "shipment.created.v1"),
    ("shipment.tracking_corrected.v1", "shipment.dispatched.v1"),
    ("shipment.delivered.v1", "shipment.dispatched.v1"),
];
const NEVER_BOTH: [(&str, &str); 1] = [("order.completed.v1", "order.cancelled.v1")];

fn happened_in_order(evidence: &Evidence, broken: &mut Broken) {
    let mut said = BTreeMap::<(&str, &str), Vec<&str>>::new();
    for record in &evidence.records {
        said.entry((&record.topic, &record.key)).or_default().push(&record.event_type);
    }
    for ((_, order), types) in said {
        let first = |wanted: &str| types.iter().position(|found| *found == wanted);
        for (later, earlier) in AFTER {
            if first(later).is_some_and(|later| first(earlier).is_none_or(|earlier| earlier > later))
                && evidence.topics_are_whole
            {
                broken.order(order, format!("{later} was said, and no {earlier} before it"));
            }
        }
        for (one, other) in NEVER_BOTH {
            if first(one).is_some() && first(other).is_some() {
                broken.order(order, format!("both {one} and {other} were said"));
            }
        }
    }
}
