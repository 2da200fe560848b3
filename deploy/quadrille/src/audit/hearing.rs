//! Rule 9: each event was heard by every service that reacts to it, and had its effect once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use shared_events::{EventId, RefundId};
use uuid::Uuid;

use super::{evidence::Evidence, findings::Broken, orders::SOON, rows::Hearing};
use crate::{records::Record, service::Service};

/// What each service reacts to, and notes in its inbox.
const REACTS_TO: [(Service, &[&str]); 4] = [
    (
        Service::OrderSvc,
        &[
            "stock.reserved.v1",
            "stock.rejected.v1",
            "stock.committed.v1",
            "stock.released.v1",
            "stock.expired.v1",
            "stock.restocked.v1",
            "stock.address_decided.v1",
            "payment.authorized.v1",
            "payment.declined.v1",
            "payment.action_required.v1",
            "payment.captured.v1",
            "payment.capture_failed.v1",
            "payment.voided.v1",
            "payment.refunded.v1",
            "payment.refund_failed.v1",
            "payment.unknown.v1",
            "shipment.created.v1",
            "shipment.dispatched.v1",
            "shipment.tracking_corrected.v1",
            "shipment.delivered.v1",
            "shipment.cancelled.v1",
            "shipment.returned.v1",
            "shipment.lost.v1",
        ],
    ),
    (
        Service::StockSvc,
        &[
            "order.placed.v1",
            "order.confirmed.v1",
            "order.cancel_requested.v1",
            "order.call_off_requested.v1",
            "order.address_change_requested.v1",
            "order.forgotten.v1",
            "payment.declined.v1",
            "payment.captured.v1",
        ],
    ),
    (
        Service::PaymentSvc,
        &[
            "order.placed.v1",
            "order.confirmed.v1",
            "order.forgotten.v1",
            "stock.reserved.v1",
            "stock.released.v1",
            "stock.restocked.v1",
            "stock.rejected.v1",
            "stock.expired.v1",
            "shipment.lost.v1",
        ],
    ),
    (
        Service::NotificationSvc,
        &[
            "order.placed.v1",
            "order.confirmed.v1",
            "order.address_changed.v1",
            "order.cancel_requested.v1",
            "order.cancel_refused.v1",
            "order.cancelled.v1",
            "order.call_off_refused.v1",
            "order.address_change_refused.v1",
            "order.forgotten.v1",
            "shipment.dispatched.v1",
            "shipment.tracking_corrected.v1",
            "shipment.delivered.v1",
            "shipment.lost.v1",
            "payment.action_required.v1",
            "payment.refunded.v1",
        ],
    ),
];
/// The events that payment-svc refunds money for.
const REFUND_FOR: [&str; 3] = ["stock.released.v1", "stock.restocked.v1", "shipment.lost.v1"];
/// A topic that was made anew begins at 0 again, while its consumer's position is that of the one before for a moment.
const MOMENT: TimeDelta = TimeDelta::minutes(2);
/// Rule 9.
pub(super) fn once(evidence: &Evidence, broken: &mut Broken) {
    let heard = heard(evidence, broken);
    let mut committed = BTreeMap::<_, Vec<i64>>::new();
    for movement in evidence.movements.iter().filter(|movement| movement.kind == "committed") {
        if let Some(order) = &movement.order_id {
            committed.entry((order, &movement.sku)).or_default().push(movement.id);
        }
    }
    for ((order, sku), ids) in committed.iter().filter(|(_, ids)| ids.len() > 1) {
        broken.order(order, format!("{sku} was committed {} times (movements {ids:?})", ids.len()));
    }
    let refunds = refunds_of_events(evidence, broken);
    broken.figures.count("times an event was to be heard", heard);
    broken.figures.count("commits", committed.len());
    broken.figures.count("refunds of events", refunds);
}

/// How often an event was to be heard.
fn heard(evidence: &Evidence, broken: &mut Broken) -> usize {
    let lying: BTreeSet<_> = evidence.lying.iter().map(|lying| (&*lying.service, &*lying.topic, &*lying.key)).collect();
    let mut looked_at = BTreeSet::new();
    for (service, types) in REACTS_TO {
        let Some(hearing) = evidence.heard.get(&service) else { continue };
        for record in evidence.records.iter().filter(|record| types.contains(&&*record.event_type)) {
            // what is parked is told by rule 12
            let parked = lying.contains(&(service.name(), &*record.topic, &*record.key));
            let fresh = looked_at.insert((service, &*record.id));
            if let Some(why) = unheard(hearing, record, evidence.now).filter(|_| fresh && !parked) {
                let (name, kind, id) = (service.name(), &record.event_type, &record.id);
                broken.order(&record.key, format!("{name} has never heard {kind} {id}: {why}"));
            }
        }
    }
    looked_at.len()
}

/// The events that each inbox is to be asked for.
pub(super) fn asked_of_inboxes(records: &[Record]) -> BTreeMap<Service, Vec<Uuid>> {
    let ids = |types: &[&str]| {
        let heard = records.iter().filter(|record| types.contains(&&*record.event_type));
        heard.filter_map(|record| Some(with_a_place(record)?.0)).collect()
    };
    REACTS_TO.iter().map(|(service, types)| (*service, ids(types))).collect()
}

/// The event's id, and when it was made, by which the inbox has a place for it. Others become dead letters.
fn with_a_place(record: &Record) -> Option<(Uuid, DateTime<Utc>)> {
    let id = record.id.parse::<Uuid>().ok().filter(|id| id.get_version_num() == 7)?;
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    Some((id, DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)?))
}

/// Why it is certain that the event was not heard, if it wasn't.
fn unheard(hearing: &Hearing, record: &Record, now: DateTime<Utc>) -> Option<String> {
    let (id, said_at) = with_a_place(record)?;
    let sent_at = record.sent_at.or(record.made_at)?;
    // where the inbox was never kept in order nothing is certain
    let is_forgotten = hearing.since.is_none_or(|since| said_at < since);
    if hearing.events.contains(&id) || is_forgotten || said_at > now {
        return None;
    }
    let place = (record.topic.clone(), record.partition);
    let position = hearing.positions.get(&place).filter(|position| record.offset < **position);
    match position {
        Some(position) if sent_at + MOMENT < now => {
            let Record { topic, partition, offset, .. } = record;
            Some(format!("it is at {offset} of {topic}[{partition}], where it has come to {position}"))
        }
        _ if sent_at + SOON < now => Some(format!("it was sent at {sent_at:.0}")),
        _ => None,
    }
}

/// How many refunds events have caused. Each is of an event that was said of its order: its id is made from that one's.
fn refunds_of_events(evidence: &Evidence, broken: &mut Broken) -> usize {
    let causes = evidence.records.iter().filter(|record| REFUND_FOR.contains(&&*record.event_type));
    let causes: BTreeSet<_> = causes
        .filter_map(|record| Some((RefundId::caused_by(EventId(record.id.parse().ok()?)).0, record.key.as_str())))
        .collect();
    let orders: BTreeMap<_, _> =
        evidence.payments.values().map(|payment| (payment.payment_id.as_str(), payment.order_id.as_str())).collect();
    let mut count = 0;
    for refund in evidence.refunds.iter().filter(|refund| refund.is_of_an_event()) {
        count += 1;
        let order = orders.get(refund.payment_id.as_str()).copied().unwrap_or("?");
        if evidence.topics_are_whole && !causes.contains(&(refund.refund_id, order)) {
            broken.order(order, format!("no event of it is the cause of refund {}", refund.refund_id));
        }
    }
    count
}
