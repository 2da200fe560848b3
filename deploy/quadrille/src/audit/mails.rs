//! Rule 11: messages to customers.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use notification_svc::{domain::Template, store::notifications::LEASE_SECONDS};

use super::{evidence::Evidence, findings::Broken, rows::Mail};

/// A message is leased when it is taken for sending, and stays so when it was sent: so its lease tells when it was taken.
const LEASE: TimeDelta = TimeDelta::seconds(LEASE_SECONDS as i64);
/// A batch of events is committed a moment after the time that its rows bear.
const MOMENT: TimeDelta = TimeDelta::seconds(30);

/// The fact that each template tells.
const TELLS: [(&str, &str); 14] = [
    ("order_placed", "order.placed.v1"),
    ("payment_action_required", "payment.action_required.v1"),
    ("order_confirmed", "order.confirmed.v1"),
    ("order_address_changed", "order.address_changed.v1"),
    ("order_cancelled", "order.cancelled.v1"),
    ("order_address_change_refused", "order.address_change_refused.v1"),
    ("order_cancel_refused", "order.cancel_refused.v1"),
    ("order_called_off", "stock.restocked.v1"),
    ("order_call_off_refused", "order.call_off_refused.v1"),
    ("shipment_dispatched", "shipment.dispatched.v1"),
    ("shipment_tracking_corrected", "shipment.tracking_corrected.v1"),
    ("shipment_delivered", "shipment.delivered.v1"),
    ("shipment_lost", "shipment.lost.v1"),
    ("payment_refunded", "payment.refunded.v1"),
];

pub(super) fn mails(evidence: &Evidence, broken: &mut Broken) {
    let events: BTreeMap<_, _> =
        evidence.records.iter().map(|record| (record.id.as_str(), (&*record.key, &*record.event_type))).collect();
    let mut facts = BTreeSet::new();
    let mut done = BTreeMap::<&str, u64>::new();
    for mail in &evidence.mails {
        let (order, template) = (&mail.order_id, mail.template.as_str());
        let name = format!("{} {} ({template})", mail.channel, mail.id);
        if !facts.insert((order, template, &mail.channel, &mail.event_id)) {
            broken.order(order, format!("{name} tells of event {} a second time", mail.event_id));
        }
        let told = events.get(mail.event_id.as_str());
        let expected = TELLS.iter().find(|(known, _)| *known == template).map(|(_, event)| *event);
        match told {
            None if evidence.topics_are_whole => {
                broken.order(order, format!("{name} tells of event {}, which nobody said", mail.event_id));
            }
            Some((key, kind)) if key != order || expected.is_some_and(|expected| expected != *kind) => {
                broken.order(order, format!("{name} tells of event {}, which is {kind} of order {key}", mail.event_id));
            }
            _ => {}
        }
        if mail.status == "sent" {
            untrue(evidence, order, template, &name, broken);
        }
        if mail.status != "queued" {
            *done.entry(order).or_default() += 1;
        }
    }
    for ((topic, order), said) in evidence.said.iter().filter(|((topic, _), _)| topic == "notifications.v1") {
        let rows = done.get(order.as_str()).copied().unwrap_or_default();
        if rows != *said {
            broken.order(
                order,
                format!("it has {rows} messages that were sent, failed or suppressed, and {said} events on {topic}"),
            );
        }
    }
    promised_too_late(evidence, broken);
    broken.figures.count("messages", evidence.mails.len());
}

/// Messages that promise that an order goes on, and were taken for sending after its end was known. The one about the end
/// shows when that was; nothing shows when the order began to end.
fn promised_too_late(evidence: &Evidence, broken: &mut Broken) {
    let of_the_end = evidence.mails.iter().filter(|mail| mail.template == Template::OrderCancelled.name());
    let ended: BTreeMap<_, _> = of_the_end.map(|mail| (mail.order_id.as_str(), mail.created_at)).collect();
    let promises = |mail: &&Mail| Template::PROGRESS.iter().any(|template| template.name() == mail.template);
    for mail in evidence.mails.iter().filter(|mail| mail.status == "sent").filter(promises) {
        let (order, taken) = (mail.order_id.as_str(), mail.due_at - LEASE);
        if let Some(heard) = ended.get(order).filter(|heard| **heard + MOMENT < taken) {
            let name = format!("{} {} ({})", mail.channel, mail.id, mail.template);
            broken.order(
                order,
                format!("{name} was taken for sending at {taken:.0}, and its end was heard at {heard:.0}"),
            );
        }
    }
}

fn untrue(evidence: &Evidence, order: &str, template: &str, name: &str, broken: &mut Broken) {
    let status = evidence.orders.get(order).map(|order| order.status.as_str());
    let payment = evidence.payments.get(order);
    let refunded = payment.map(|payment| payment.refunded);
    // It was, and the customer's bank has given it back since.
    let came_back = || {
        let mut refunds = evidence.refunds.iter().filter(|refund| refund.state == "failed");
        payment.is_some_and(|payment| refunds.any(|refund| refund.payment_id == payment.payment_id))
    };
    match template {
        "order_cancelled" if status.is_some_and(|status| status != "cancelled") => {
            broken.order(order, format!("{name} was sent, and the order is {}", status.unwrap_or_default()));
        }
        "payment_refunded" if refunded == Some(0) && !came_back() => {
            broken.order(order, format!("{name} was sent, and nothing is refunded"));
        }
        _ => {}
    }
}
