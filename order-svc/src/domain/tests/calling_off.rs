use super::*;

/// One of two shipments has left.
fn partly_gone() -> Vec<Happens> {
    vec![reserved(), authorized(), committed(), captured(), created(1, 1), created(2, 1), dispatched(1)]
}

fn and<const N: usize>(more: [Happens; N]) -> Given {
    given(partly_gone().into_iter().chain(more))
}

#[test]
fn a_customer_calls_off_what_has_not_left_and_the_warehouse_is_asked_once() {
    let asked = and([]).when(Happens::CustomerCallsOff).then(Status::PartiallyShipped, [call_off_requested()]);
    assert_eq!(asked.waiting_for().map(|waiting| waiting.fact), Some("stock.restocked"));
    and([Happens::CustomerCallsOff]).when(Happens::CustomerCallsOff).then(Status::PartiallyShipped, []);
}

#[test]
fn nothing_is_called_off_of_an_order_that_is_still_whole_or_gone_or_over() {
    for (past, status) in [
        (vec![], Status::Pending),
        (vec![authorized()], Status::Confirmed),
        (vec![Happens::CustomerCancels], Status::Cancelling(CancelReason::Customer)),
        ([partly_gone(), vec![dispatched(2)]].concat(), Status::Shipped),
    ] {
        given(past).when(Happens::CustomerCallsOff).then_refused(Refused::NothingToCallOff(status));
    }
}

#[test]
fn an_order_completes_with_what_arrived_once_the_rest_is_refunded() {
    let shipped = and([]).when(called_off(1)).then(Status::Shipped, []);
    assert_eq!(shipped.waiting_for().map(|waiting| waiting.fact), Some("shipment.delivered"));
    let arrived = and([called_off(1)]).when(delivered(1)).then(Status::Shipped, []);
    let waits = arrived.waiting_for().map(|waiting| (waiting.fact, waiting.from));
    assert_eq!(waits, Some(("payment.refunded", "payment-svc")));
    and([called_off(1), delivered(1)]).when(call_off_refunded(10_00)).then(Status::Completed, [completed()]);
    and([called_off(1), call_off_refunded(10_00)]).when(delivered(1)).then(Status::Completed, [completed()]);
    and([delivered(1), call_off_refunded(10_00)]).when(called_off(1)).then(Status::Completed, [completed()]);
}

#[test]
fn a_refused_refund_of_what_was_called_off_is_for_staff() {
    let refused = || and([called_off(1), delivered(1), call_off_not_refunded()]);
    assert_eq!(refused().0.waiting_for().map(|waiting| waiting.from), Some("staff"));
    refused().when(staff_refunded(RefundId::new(), 15_00)).then(Status::Completed, [completed()]);
}

#[test]
fn it_is_too_late_once_everything_has_left_and_the_customer_is_told() {
    and([Happens::CustomerCallsOff]).when(dispatched(2)).then(Status::Shipped, [call_off_refused()]);
    and([Happens::CustomerCallsOff, called_off(1)]).when(delivered(1)).then(Status::Shipped, []);
    and([called_off(1)]).when(Happens::CustomerCallsOff).then(Status::Shipped, []);
}

#[test]
fn a_call_off_heard_before_the_dispatch_that_allowed_it_ships_the_order_with_it() {
    let past = [reserved(), authorized(), committed(), captured(), created(1, 1), created(2, 1), called_off(1)];
    given(past.clone()).when(dispatched(1)).then(Status::Shipped, []);
    let cancelling = past.into_iter().chain([Happens::CustomerCancels]);
    given(cancelling).when(dispatched(1)).then(Status::Shipped, [cancel_refused()]);
}
