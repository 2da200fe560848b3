//! Orders that end: first the stock comes back, then the money, and `cancelled` comes last.

use super::*;
use crate::domain::PaymentFact;

#[test]
fn short_stock_ends_the_order_at_once_since_payment_never_started() {
    given([]).when(short()).then(Status::Cancelled(CancelReason::OutOfStock), [cancelled(CancelReason::OutOfStock)]);
}

#[test]
fn short_stock_waits_for_the_money_if_payment_svc_said_anything() {
    given([declined(true)]).when(short()).then(Status::Cancelling(CancelReason::OutOfStock), []);
}

#[test]
fn a_final_decline_waits_for_the_goods() {
    given([reserved()]).when(declined(false)).then(Status::Cancelling(CancelReason::PaymentDeclined), []);
}

#[test]
fn a_final_decline_ends_the_order_once_goods_are_released() {
    given([reserved(), declined(false)])
        .when(released())
        .then(Status::Cancelled(CancelReason::PaymentDeclined), [cancelled(CancelReason::PaymentDeclined)]);
}

#[test]
fn released_heard_before_the_decline_that_caused_it_ends_the_same() {
    given([reserved(), released()])
        .when(declined(false))
        .then(Status::Cancelled(CancelReason::PaymentDeclined), [cancelled(CancelReason::PaymentDeclined)]);
}

#[test]
fn a_customer_may_cancel_a_pending_order() {
    given([reserved()])
        .when(Happens::CustomerCancels)
        .then(Status::Cancelling(CancelReason::Customer), [cancel_requested(CancelReason::Customer)]);
}

#[test]
fn a_customer_may_cancel_a_confirmed_order() {
    given([reserved(), authorized()])
        .when(Happens::CustomerCancels)
        .then(Status::Cancelling(CancelReason::Customer), [cancel_requested(CancelReason::Customer)]);
}

#[test]
fn cancelling_twice_says_nothing_new() {
    given([Happens::CustomerCancels])
        .when(Happens::CustomerCancels)
        .then(Status::Cancelling(CancelReason::Customer), []);
}

#[test]
fn cancelling_again_after_the_end_says_nothing_new() {
    given([reserved(), Happens::CustomerCancels, released(), voided()])
        .when(Happens::CustomerCancels)
        .then(Status::Cancelled(CancelReason::Customer), []);
}

#[test]
fn an_order_that_ended_otherwise_is_not_cancelled_by_the_customer() {
    let ended = Status::Cancelled(CancelReason::OutOfStock);
    given([short()]).when(Happens::CustomerCancels).then_refused(Refused::TooLateToCancel(ended));
}

#[test]
fn a_dispatched_order_is_not_cancelled() {
    given([authorized(), captured(), created(1, 2), dispatched(1)])
        .when(Happens::CustomerCancels)
        .then_refused(Refused::TooLateToCancel(Status::Shipped));
}

#[test]
fn an_order_of_which_a_part_is_dispatched_is_not_cancelled() {
    given([authorized(), captured(), created(1, 1), dispatched(1)])
        .when(Happens::CustomerCancels)
        .then_refused(Refused::TooLateToCancel(Status::PartiallyShipped));
}

#[test]
fn the_deadline_ends_a_pending_order() {
    given([reserved()])
        .when(Happens::DeadlinePasses)
        .then(Status::Cancelling(CancelReason::Timeout), [cancel_requested(CancelReason::Timeout)]);
}

#[test]
fn the_deadline_does_not_touch_a_confirmed_order() {
    given([authorized()]).when(Happens::DeadlinePasses).then_refused(Refused::NotPending(Status::Confirmed));
}

#[test]
fn a_hold_that_expires_before_confirm_times_the_order_out() {
    given([reserved()])
        .when(expired())
        .then(Status::Cancelling(CancelReason::Timeout), [cancel_requested(CancelReason::Timeout)]);
}

#[test]
fn a_hold_that_expires_after_confirm_is_only_noted() {
    given([reserved(), authorized()]).when(expired()).then(Status::Confirmed, []);
}

#[test]
fn goods_gone_after_confirm_cancel_the_order_as_out_of_stock() {
    given([reserved(), authorized(), expired()])
        .when(rejected_after_expiry())
        .then(Status::Cancelling(CancelReason::OutOfStock), [cancel_requested(CancelReason::OutOfStock)]);
}

#[test]
fn goods_gone_after_confirm_are_not_goods_back() {
    given([reserved(), authorized(), expired(), rejected_after_expiry()])
        .when(voided())
        .then(Status::Cancelling(CancelReason::OutOfStock), []);
}

#[test]
fn a_capture_that_fails_cancels_a_confirmed_order() {
    given([reserved(), authorized()])
        .when(capture_failed())
        .then(Status::Cancelling(CancelReason::PaymentExpired), [cancel_requested(CancelReason::PaymentExpired)]);
}

#[test]
fn a_failed_capture_is_not_money_back() {
    given([reserved(), authorized(), capture_failed()])
        .when(restocked(RestockCause::Cancelled))
        .then(Status::Cancelling(CancelReason::PaymentExpired), []);
}

#[test]
fn the_first_reason_stays() {
    given([reserved(), authorized(), Happens::CustomerCancels])
        .when(capture_failed())
        .then(Status::Cancelling(CancelReason::Customer), []);
}

#[test]
fn money_back_before_goods_back_does_not_end_the_order() {
    given([reserved(), Happens::CustomerCancels]).when(voided()).then(Status::Cancelling(CancelReason::Customer), []);
}

#[test]
fn goods_back_before_money_back_does_not_end_the_order() {
    given([reserved(), Happens::CustomerCancels]).when(released()).then(Status::Cancelling(CancelReason::Customer), []);
}

#[test]
fn voided_heard_before_released_ends_the_same() {
    given([reserved(), Happens::CustomerCancels, voided()])
        .when(released())
        .then(Status::Cancelled(CancelReason::Customer), [cancelled(CancelReason::Customer)]);
}

#[test]
fn a_part_refunded_is_not_money_back() {
    given([authorized(), captured(), Happens::CustomerCancels, restocked(RestockCause::Cancelled)])
        .when(refunded(5_00))
        .then(Status::Cancelling(CancelReason::Customer), []);
}

#[test]
fn the_last_of_several_refunds_ends_the_order() {
    given([authorized(), captured(), Happens::CustomerCancels, restocked(RestockCause::Cancelled), refunded(5_00)])
        .when(refunded(0))
        .then(Status::Cancelled(CancelReason::Customer), [cancelled(CancelReason::Customer)]);
}

#[test]
fn a_refused_refund_is_not_money_back() {
    given([authorized(), captured(), Happens::CustomerCancels, restocked(RestockCause::Cancelled)])
        .when(refund_failed())
        .then(Status::Cancelling(CancelReason::Customer), []);
}

#[test]
fn an_authorisation_heard_after_the_customer_cancelled_confirms_nothing() {
    given([reserved(), Happens::CustomerCancels])
        .when(authorized())
        .then(Status::Cancelling(CancelReason::Customer), []);
}

#[test]
fn short_stock_heard_after_the_customer_cancelled_ends_it_with_the_customers_reason() {
    given([Happens::CustomerCancels])
        .when(short())
        .then(Status::Cancelled(CancelReason::Customer), [cancelled(CancelReason::Customer)]);
}

#[test]
fn a_dispatch_heard_while_cancelling_refuses_the_cancellation() {
    let order = given([reserved(), authorized(), captured(), created(1, 2), Happens::CustomerCancels])
        .when(dispatched(1))
        .then(Status::Shipped, [cancel_refused()]);
    assert_eq!(order.status.reason(), None);
}

#[test]
fn a_refused_cancellation_still_completes() {
    given([authorized(), captured(), created(1, 2), Happens::CustomerCancels, dispatched(1)])
        .when(delivered(1))
        .then(Status::Completed, [completed()]);
}

#[test]
fn a_return_while_cancelling_is_not_goods_back() {
    given([authorized(), captured(), Happens::CustomerCancels])
        .when(restocked(RestockCause::Returned))
        .then_refused(Refused::Return);
}

#[test]
fn nothing_is_heard_of_a_payment_that_has_ended() {
    given([declined(false)]).when(unknown()).then_refused(Refused::PaymentEnded(PaymentFact::Declined));
    given([Happens::CustomerCancels, voided()])
        .when(authorized())
        .then_refused(Refused::PaymentEnded(PaymentFact::Voided));
}

#[test]
fn a_cancelled_order_is_never_revived() {
    given([short()]).when(authorized()).then(Status::Cancelled(CancelReason::OutOfStock), []);
    given([short()]).when(dispatched(1)).then(Status::Cancelled(CancelReason::OutOfStock), []);
}
