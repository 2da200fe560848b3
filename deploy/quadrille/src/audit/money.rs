//! Rules 1 to 3: money.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::{evidence::Evidence, findings::Broken, rows::Effect};

/// A call that fails is tried again after a while; one that nobody answers is looked up.
const ANSWERED_WITHIN: TimeDelta = TimeDelta::minutes(10);

/// Rule 1.
pub(super) fn amounts(evidence: &Evidence, broken: &mut Broken) {
    let mut refunds = BTreeMap::<&str, i64>::new();
    for refund in evidence.refunds.iter().filter(|refund| refund.state == "done") {
        *refunds.entry(&refund.payment_id).or_default() += refund.amount;
    }
    for payment in evidence.payments.values() {
        let (id, captured, refunded) = (&payment.order_id, payment.captured, payment.refunded);
        let total = evidence.orders.get(id).map(|order| order.total);
        if let (Some(amount), Some(total)) = (payment.amount, total)
            && amount != total
        {
            broken.order(id, format!("payment-svc has a total of {amount}, order-svc of {total}"));
        }
        if captured != 0 && Some(captured) != payment.amount {
            broken.order(id, format!("{captured} is captured of a total of {:?}", payment.amount));
        }
        if !(0..=captured).contains(&refunded) {
            broken.order(id, format!("{refunded} is refunded of {captured} captured"));
        }
        let rows = refunds.get(payment.payment_id.as_str()).copied().unwrap_or_default();
        if rows != refunded {
            broken.order(id, format!("{refunded} is refunded, but its refunds that are done add up to {rows}"));
        }
    }
    broken.figures.count("payments", evidence.payments.len());
    broken.figures.count("refunds", evidence.refunds.len());
}

/// The operation of refunds that staff paid past the gateway, which knows nothing of them.
const OUTSIDE: &str = "refund_outside";

/// Rule 2.
pub(super) fn journal(evidence: &Evidence, broken: &mut Broken) {
    let Some(journal) = &evidence.journal else {
        broken.figures.note("this gateway shows no journal: not checked");
        return;
    };
    let (theirs, ours) = (by_order(journal), by_order(evidence.ledger.iter().filter(|line| line.operation != OUTSIDE)));
    let orders: BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
    let mut in_flight = 0;
    for payment in evidence.payments.values() {
        if let Some(since) = payment.in_flight_since.filter(|since| *since + ANSWERED_WITHIN < evidence.now) {
            broken.order(&payment.order_id, format!("a call to the gateway has no answer since {since:.0}"));
        }
    }
    for order in orders {
        // the gateway has done it, and its answer is on the way
        if evidence.payments.get(*order).is_some_and(|payment| payment.in_flight_since.is_some()) {
            in_flight += 1;
            continue;
        }
        let (theirs, ours) = (theirs.get(*order), ours.get(*order));
        if theirs != ours {
            broken.order(order, format!("the gateway's journal says {}, the ledger {}", told(theirs), told(ours)));
        }
    }
    broken.figures.count("effects", journal.len());
    broken.figures.count("orders with a call in flight left out", in_flight);
}

/// Rule 2, of the gateway's journal by itself.
pub(super) fn one_effect_a_key(evidence: &Evidence, broken: &mut Broken) {
    let mut keys = BTreeMap::<&str, Vec<&str>>::new();
    let effects = evidence.journal.iter().flatten();
    for (key, effect) in effects.filter_map(|effect| Some((effect.key.as_deref()?, effect))) {
        keys.entry(key).or_default().push(&effect.operation);
    }
    broken.figures.count("keys", keys.len());
    for (key, operations) in keys.into_iter().filter(|(key, operations)| !key.is_empty() && operations.len() > 1) {
        let told = format!("{} effects ({}) at the gateway under one key", operations.len(), operations.join(", "));
        broken.add(format!("key {key}"), told);
    }
}

/// Rule 3.
pub(super) fn cancelled(evidence: &Evidence, broken: &mut Broken) {
    let outside = evidence.ledger.iter().filter(|line| line.operation == OUTSIDE);
    let at_gateway = evidence.ledger.iter().filter(|line| line.operation != OUTSIDE);
    let by_order = match &evidence.journal {
        Some(journal) => by_order(journal.iter().chain(outside)),
        None => by_order(at_gateway.chain(outside)),
    };
    let ended = evidence.orders.values().filter(|order| order.status == "cancelled");
    let mut count = 0;
    for order in ended {
        count += 1;
        let sum = |operation: &str| {
            by_order.get(order.id.as_str()).map_or(0, |of| {
                of.iter().filter(|((found, _), _)| *found == operation).map(|((_, amount), times)| amount * times).sum()
            })
        };
        let held: i64 = sum("authorise") - sum("capture") - sum("void");
        let kept: i64 = sum("capture") - sum("refund") + sum("refund_reversal") - sum(OUTSIDE);
        if held != 0 || kept != 0 {
            broken.order(&order.id, format!("it is cancelled, but {held} is authorised and {kept} captured still"));
        }
    }
    broken.figures.count("cancelled orders", count);
}

/// How often each operation with each amount.
type Effects<'a> = BTreeMap<(&'a str, i64), i64>;

fn by_order<'a>(effects: impl IntoIterator<Item = &'a Effect>) -> BTreeMap<&'a str, Effects<'a>> {
    let mut all = BTreeMap::<_, Effects<'_>>::new();
    for effect in effects {
        let of = all.entry(effect.order_id.as_deref().unwrap_or("?")).or_default();
        *of.entry((effect.operation.as_str(), effect.amount)).or_default() += 1;
    }
    all
}

fn told(effects: Option<&Effects<'_>>) -> String {
    let each = effects.into_iter().flatten().map(|((operation, amount), times)| match times {
        1 => format!("{operation} {amount}"),
        _ => format!("{times} times {operation} {amount}"),
    });
    let told = each.collect::<Vec<_>>().join(", ");
    if told.is_empty() { "nothing".to_owned() } else { told }
}
