//! Topics may lag behind each other in any way, but each keeps its order. The end must always be the same.

use super::*;

fn every_way(topics: &[Vec<Happens>]) -> Vec<Vec<Happens>> {
    if topics.iter().all(Vec::is_empty) {
        return vec![vec![]];
    }
    let mut ways = Vec::new();
    for (n, topic) in topics.iter().enumerate().filter(|(_, topic)| !topic.is_empty()) {
        let mut rest = topics.to_vec();
        rest[n].remove(0);
        for mut way in every_way(&rest) {
            way.insert(0, topic[0].clone());
            ways.push(way);
        }
    }
    ways
}

/// Plays every interleaving. Each must end in this status, with `last` published once and last.
fn all_end<const N: usize>(before: [Happens; N], topics: &[Vec<Happens>], status: Status, last: &Event) {
    for way in every_way(topics) {
        let (mut order, mut said) = (placed(), Vec::new());
        for what in before.iter().chain(&way) {
            let Ok((now, events)) = happens(order.clone(), what) else { continue };
            (order, said) = (now, [said, events].concat());
        }
        assert_eq!(order.status, status, "{way:?}");
        assert_eq!(said.last(), Some(last), "{way:?}");
        assert_eq!(said.iter().filter(|event| *event == last).count(), 1, "{way:?}");
    }
}

#[test]
fn an_order_that_goes_well_is_completed() {
    let stock = vec![reserved(), committed()];
    let payments = vec![captured()];
    let parcels = vec![created(1, 1), created(2, 1), dispatched(2), dispatched(1), delivered(1), delivered(2)];
    all_end([authorized()], &[stock, payments, parcels], Status::Completed, &completed());
}

#[test]
fn an_order_of_which_a_part_was_called_off_is_completed() {
    let stock = vec![reserved(), committed(), called_off(1)];
    let payments = vec![captured(), call_off_refunded(10_00)];
    let parcels = vec![created(1, 1), created(2, 1), dispatched(2), parcel_cancelled(1), delivered(2)];
    all_end([authorized()], &[stock, payments, parcels], Status::Completed, &completed());
}

#[test]
fn a_cancelled_order_ends_once_goods_and_money_are_back() {
    let stock = vec![reserved(), committed(), restocked(RestockCause::Cancelled)];
    let payments = vec![captured(), refunded(10_00), refund_failed(), refunded(0)];
    let parcels = vec![created(1, 2), parcel_cancelled(1)];
    let reason = CancelReason::Customer;
    let before = [authorized(), Happens::CustomerCancels];
    all_end(before, &[stock, payments, parcels], Status::Cancelled(reason), &cancelled(reason));
}

#[test]
fn an_order_cancelled_before_anything_was_heard_ends_once_goods_and_money_are_back() {
    let reason = CancelReason::Customer;
    let topics = [vec![reserved(), released()], vec![authorized(), voided()]];
    all_end([Happens::CustomerCancels], &topics, Status::Cancelled(reason), &cancelled(reason));
}

#[test]
fn a_declined_order_ends_with_its_reason() {
    let reason = CancelReason::PaymentDeclined;
    let topics = [vec![reserved(), released()], vec![declined(true), unknown(), declined(false)]];
    all_end([], &topics, Status::Cancelled(reason), &cancelled(reason));
}

#[test]
fn an_order_whose_hold_expired_ends_with_a_timeout() {
    let reason = CancelReason::Timeout;
    all_end(
        [],
        &[vec![reserved(), expired(), released()], vec![voided()]],
        Status::Cancelled(reason),
        &cancelled(reason),
    );
}

#[test]
fn an_order_whose_goods_are_gone_after_confirm_ends_as_out_of_stock() {
    let reason = CancelReason::OutOfStock;
    let stock = vec![reserved(), expired(), rejected_after_expiry(), released()];
    all_end([authorized()], &[stock, vec![voided()]], Status::Cancelled(reason), &cancelled(reason));
}

#[test]
fn a_cancellation_that_came_too_late_leaves_the_order_to_be_completed() {
    let topics = [vec![reserved(), committed()], vec![captured()], vec![created(1, 2), dispatched(1), delivered(1)]];
    all_end([authorized(), Happens::CustomerCancels], &topics, Status::Completed, &completed());
}
