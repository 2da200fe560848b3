//! An order that goes well, in whatever order its events arrive.

use super::*;

#[test]
fn goods_held_alone_confirm_nothing() {
    given([]).when(reserved()).then(Status::Pending, []);
}

#[test]
fn authorised_money_confirms_once_goods_are_held() {
    given([reserved()]).when(authorized()).then(Status::Confirmed, [confirmed_event()]);
}

#[test]
fn authorised_heard_before_reserved_confirms() {
    given([]).when(authorized()).then(Status::Confirmed, [confirmed_event()]);
}

#[test]
fn reserved_heard_after_authorised_confirms_no_second_time() {
    given([authorized()]).when(reserved()).then(Status::Confirmed, []);
}

#[test]
fn an_authorisation_heard_after_the_hold_expired_confirms_nothing() {
    given([reserved(), expired()]).when(authorized()).then(Status::Cancelling(CancelReason::Timeout), []);
}

#[test]
fn one_parcel_with_all_of_it_ships_the_order() {
    given([reserved(), authorized(), committed(), captured(), created(1, 2)])
        .when(dispatched(1))
        .then(Status::Shipped, []);
}

#[test]
fn a_parcel_with_some_of_it_ships_the_order_in_part() {
    given([reserved(), authorized(), committed(), captured(), created(1, 1), created(2, 1)])
        .when(dispatched(2))
        .then(Status::PartiallyShipped, []);
}

#[test]
fn the_last_parcel_ships_the_order() {
    given([authorized(), captured(), created(1, 1), created(2, 1), dispatched(2), delivered(2)])
        .when(dispatched(1))
        .then(Status::Shipped, []);
}

#[test]
fn a_delivered_and_paid_order_is_completed() {
    given([authorized(), captured(), created(1, 2), dispatched(1)])
        .when(delivered(1))
        .then(Status::Completed, [completed()]);
}

#[test]
fn an_order_with_a_parcel_on_its_way_is_not_completed() {
    given([authorized(), captured(), created(1, 1), created(2, 1), dispatched(1), dispatched(2)])
        .when(delivered(1))
        .then(Status::Shipped, []);
}

#[test]
fn captured_heard_after_delivered_completes() {
    given([authorized(), created(1, 2), dispatched(1), delivered(1)])
        .when(captured())
        .then(Status::Completed, [completed()]);
}

#[test]
fn captured_stays_true_when_a_part_was_refunded_before_delivery() {
    given([authorized(), captured(), created(1, 2), dispatched(1), refunded(10_00)])
        .when(delivered(1))
        .then(Status::Completed, [completed()]);
}

#[test]
fn a_return_moves_no_completed_order() {
    given([authorized(), captured(), created(1, 2), dispatched(1), delivered(1)])
        .when(restocked(RestockCause::Returned))
        .then_refused(Refused::Return);
}

#[test]
fn a_refund_after_completion_is_noted_and_the_order_stays_completed() {
    let order = given([authorized(), captured(), created(1, 2), dispatched(1), delivered(1)])
        .when(refunded(0))
        .then(Status::Completed, []);
    assert!(order.facts.captured);
}

#[test]
fn a_gateway_that_does_not_answer_changes_no_status() {
    given([reserved(), authorized()]).when(unknown()).then(Status::Confirmed, []);
}

#[test]
fn a_decline_that_will_be_tried_again_changes_no_status() {
    given([reserved()]).when(declined(true)).then(Status::Pending, []);
}

#[test]
fn an_authorisation_at_the_second_try_confirms() {
    given([reserved(), declined(true)]).when(authorized()).then(Status::Confirmed, [confirmed_event()]);
}

#[test]
fn delivered_stays_true_when_a_part_came_back_before_all_was_paid() {
    given([authorized(), created(1, 2), dispatched(1), delivered(1), parcel_returned(1)])
        .when(captured())
        .then(Status::Completed, [completed()]);
}

#[test]
fn a_parcel_that_came_back_from_the_way_lets_the_order_complete() {
    given([authorized(), captured(), created(1, 1), created(2, 1), dispatched(1), dispatched(2), delivered(2)])
        .when(parcel_returned(1))
        .then(Status::Completed, [completed()]);
}

#[test]
fn a_parcel_that_was_lost_lets_the_order_complete_once_its_money_is_back() {
    let parcels = [created(1, 1), created(2, 1), dispatched(1), dispatched(2), delivered(2)];
    let order = given([authorized(), captured()].into_iter().chain(parcels));
    let lost = order.when(lost(1)).then(Status::Shipped, []);
    assert!(
        matches!(happens(lost.clone(), &refunded(15_00)), Ok((order, events)) if order.status == Status::Shipped && events.is_empty())
    );
    let (order, events) = happens(lost, &loss_refunded(1, 10_00)).unwrap();
    assert_eq!((order.status, events), (Status::Completed, vec![completed()]));
}

#[test]
fn a_loss_whose_refund_was_refused_is_made_up_for_by_the_next_that_is_as_much() {
    let past = [authorized(), captured(), created(1, 2), dispatched(1), lost(1), loss_refused(1)];
    let refused = given(past).when(refunded(16_00)).then(Status::Shipped, []);
    let (order, events) = happens(refused, &refunded(15_00)).unwrap();
    assert_eq!((order.status, events), (Status::Completed, vec![completed()]));
}

#[test]
fn the_refund_of_one_loss_does_not_stand_for_that_of_another() {
    let parcels = [created(1, 1), created(2, 1), dispatched(1), dispatched(2), lost(1), lost(2), loss_refused(1)];
    let order = given([authorized(), captured()].into_iter().chain(parcels));
    let one_is_owed = order.when(loss_refunded(2, 5_00)).then(Status::Shipped, []);
    assert_eq!(one_is_owed.waiting_for().unwrap().from, "staff");
    let (order, events) = happens(one_is_owed, &refunded(10_00)).unwrap();
    assert_eq!((order.status, events), (Status::Completed, vec![completed()]));
}

#[test]
fn refused_refunds_are_made_up_for_by_what_staff_give_in_one_or_in_parts() {
    let parcels = [created(1, 1), created(2, 1), dispatched(1), dispatched(2), lost(1), lost(2)];
    let refused = [loss_refused(1), loss_refused(2)];
    let order = || given([authorized(), captured()].into_iter().chain(parcels.clone()).chain(refused.clone()));
    order().when(refunded(10_00)).then(Status::Completed, [completed()]);
    let half = order().when(refunded(14_00)).then(Status::Shipped, []);
    assert_eq!(half.waiting_for().unwrap().from, "staff");
    let (order, events) = happens(half, &refunded(16_00)).unwrap();
    assert_eq!((order.status, events), (Status::Completed, vec![completed()]));
}

#[test]
fn a_refused_refund_that_staff_settle_outside_is_made_and_owed_no_more() {
    let parcels = [created(1, 1), created(2, 1), dispatched(1), dispatched(2), lost(1), lost(2)];
    let refused = [loss_refused(1), loss_refused(2)];
    let order = given([authorized(), captured()].into_iter().chain(parcels).chain(refused));
    let one_is_owed = order.when(loss_refunded(1, 15_00)).then(Status::Shipped, []);
    assert_eq!(one_is_owed.facts.refused_refunds.len(), 1, "what is settled needs no making up for");
    assert_eq!(one_is_owed.waiting_for().unwrap().from, "staff");
    let (order, events) = happens(one_is_owed, &refunded(15_00)).unwrap();
    assert_eq!(
        (order.status, events),
        (Status::Completed, vec![completed()]),
        "the other is made up for by as much as it was"
    );
}

#[test]
fn a_refund_of_a_loss_that_comes_back_is_owed_again() {
    let parcels = [created(1, 1), created(2, 1), dispatched(1), dispatched(2), lost(1)];
    let back = [loss_refunded(1, 15_00), loss_refused(1)];
    let order = given([authorized(), captured()].into_iter().chain(parcels).chain(back));
    let owed = order.when(delivered(2)).then(Status::Shipped, []);
    assert_eq!(owed.waiting_for().unwrap().from, "staff");
    let (order, events) = happens(owed, &refunded(15_00)).unwrap();
    assert_eq!((order.status, events), (Status::Completed, vec![completed()]));
}

#[test]
fn what_staff_gave_for_a_refused_refund_does_not_count_if_it_comes_back() {
    let given_back = RefundId::new();
    let past = [authorized(), captured(), created(1, 1), created(2, 1), dispatched(1), dispatched(2), lost(1)];
    let made_up = [loss_refused(1), staff_refunded(given_back, 15_00), came_back(given_back)];
    given(past.into_iter().chain(made_up)).when(delivered(2)).then(Status::Shipped, []);
}

#[test]
fn a_refund_of_everything_that_comes_back_is_no_end_of_the_payment() {
    let (all, restocked) = (RefundId::new(), restocked(RestockCause::Cancelled));
    let past = [authorized(), captured(), staff_refunded(all, 0), came_back(all), Happens::CustomerCancels, restocked];
    let order = given(past).when(refund_failed()).then(Status::Cancelling(CancelReason::Customer), []);
    assert_eq!(order.waiting_for().unwrap().from, "staff");
    let (order, events) = happens(order, &refunded(0)).unwrap();
    assert_eq!((order.status, events.len()), (Status::Cancelled(CancelReason::Customer), 1));
}

#[test]
fn a_refund_that_is_heard_before_its_loss_counts() {
    given([authorized(), captured(), created(1, 2), dispatched(1), loss_refunded(1, 5_00)])
        .when(lost(1))
        .then(Status::Completed, [completed()]);
}

#[test]
fn a_loss_of_which_all_money_had_gone_back_before_needs_no_refund_of_its_own() {
    given([authorized(), captured(), created(1, 2), dispatched(1), refunded(0)])
        .when(lost(1))
        .then(Status::Completed, [completed()]);
}

#[test]
fn a_customer_who_has_to_act_changes_no_status() {
    given([reserved()]).when(action_required()).then(Status::Pending, []);
}
