use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta};

use super::every_transition::everything;
use super::*;
use crate::domain::{PATIENCE, overdue_not_before};

/// The whole way of an order that goes well.
fn way() -> Vec<Happens> {
    vec![reserved(), authorized(), committed(), captured(), created(1, 2), dispatched(1), delivered(1)]
}

#[test]
fn everything_that_an_order_can_wait_for_has_a_time_and_nothing_else_has() {
    let undone = vec![authorized(), captured(), Happens::CustomerCancels, restocked(RestockCause::Cancelled)];
    let refused = [undone.clone(), vec![undo_refused()]].concat();
    let pasts = (0..=way().len()).map(|steps| way()[..steps].to_vec()).chain([undone, refused]);
    let mut waits = BTreeSet::new();
    for past in pasts {
        let Given(order) = given(past);
        for first in everything() {
            let order = happens(order.clone(), &first).map_or_else(|_| order.clone(), |(order, _)| order);
            for second in everything() {
                let order = happens(order.clone(), &second).map_or_else(|_| order.clone(), |(order, _)| order);
                assert_eq!(order.patience().is_some(), order.waiting_for().is_some(), "{order:?}");
                waits.extend(order.waiting_for().map(|waiting| (waiting.fact, waiting.from)));
            }
        }
    }
    assert_eq!(waits, PATIENCE.into_iter().map(|(waiting, _)| (waiting.fact, waiting.from)).collect());
}

#[test]
fn a_payment_that_is_tried_again_may_take_as_long_as_its_retries() {
    let patience = |past: Vec<Happens>| given(past).0.patience().unwrap();
    assert_eq!(patience(vec![reserved()]), TimeDelta::seconds(5));
    assert_eq!(patience(vec![reserved(), declined(true)]), TimeDelta::seconds(155));
    assert_eq!(patience(vec![reserved(), declined(true), authorized()]), TimeDelta::seconds(5), "of stock-svc");
    assert_eq!(patience(vec![reserved(), action_required()]), TimeDelta::minutes(20));
}

/// The times at which the order is looked at, if each step takes a second.
#[test]
fn the_indexed_time_moves_when_an_order_begins_to_wait_for_people_and_not_with_each_step() {
    let (mut order, mut known, mut moved) = (placed(), None, vec![]);
    for (second, what) in (0..).zip(way()) {
        let overdue_at = order.patience().map(|patience| DateTime::UNIX_EPOCH + TimeDelta::seconds(second) + patience);
        let before = known;
        known = overdue_not_before(before, overdue_at);
        assert!(known <= overdue_at, "it is never too late");
        if known != before {
            moved.push(order.waiting_for().map(|waiting| waiting.fact));
        }
        (order, _) = happens(order, &what).unwrap();
    }
    let waits = [Some("stock.reserved"), Some("shipment.dispatched"), Some("shipment.delivered")];
    assert_eq!(moved, waits);
    assert_eq!(overdue_not_before(known, order.patience().map(|_| DateTime::UNIX_EPOCH)), None, "it has ended");
}
