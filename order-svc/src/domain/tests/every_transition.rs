//! Every status with every event and request: those in the table move the order, and nothing else does.

use super::*;

type Moves = fn(&Happens) -> Option<Status>;

fn of_type(what: &Happens, type_name: &str) -> bool {
    matches!(what, Happens::Heard(event) if event.type_name() == type_name)
}

pub(super) fn everything() -> Vec<Happens> {
    let causes = [restocked(RestockCause::Cancelled), restocked(RestockCause::Returned), called_off(1)];
    let goods = [reserved(), short(), rejected_after_expiry(), committed(), released(), expired()];
    let payments = [authorized(), declined(true), declined(false), captured(), capture_failed(), voided()];
    let refunds = [refunded(1), refunded(0), refund_failed(), unknown(), action_required()];
    let parcels = [created(9, 2), dispatched(1), delivered(1), parcel_returned(1), lost(1), parcel_cancelled(1)];
    let wishes = [Happens::CustomerCancels, Happens::CustomerCallsOff, Happens::DeadlinePasses];
    causes.into_iter().chain(goods).chain(payments).chain(refunds).chain(parcels).chain(wishes).collect()
}

/// Tries everything on an order with this past. `moves` gives the new status, or none if the status stays.
fn only_these_move(past: &[Happens], status: Status, moves: Moves) {
    let order = past.iter().fold(placed(), |order, what| happens(order, what).unwrap().0);
    assert_eq!(order.status, status, "the past leads here");
    for what in everything() {
        let now = happens(order.clone(), &what).map_or(status, |(order, _)| order.status);
        assert_eq!(now, moves(&what).unwrap_or(status), "{} and then {what:?}", status.name());
    }
}

#[test]
fn from_pending() {
    only_these_move(&[reserved(), created(1, 2)], Status::Pending, |what| match what {
        Happens::CustomerCancels => Some(Status::Cancelling(CancelReason::Customer)),
        Happens::DeadlinePasses => Some(Status::Cancelling(CancelReason::Timeout)),
        Happens::Heard(Event::Stock(StockEvent::Rejected(StockRejected {
            rejection: Rejection::Shortages { .. },
            ..
        }))) => Some(Status::Cancelled(CancelReason::OutOfStock)),
        Happens::Heard(Event::Stock(StockEvent::Expired(_))) => Some(Status::Cancelling(CancelReason::Timeout)),
        Happens::Heard(Event::Payment(PaymentEvent::Authorized(_))) => Some(Status::Confirmed),
        Happens::Heard(Event::Payment(PaymentEvent::Declined(declined))) if !declined.retryable => {
            Some(Status::Cancelling(CancelReason::PaymentDeclined))
        }
        _ if of_type(what, "shipment.dispatched.v1") => Some(Status::Shipped),
        _ => None,
    });
}

#[test]
fn from_confirmed() {
    only_these_move(&[reserved(), authorized(), created(1, 2)], Status::Confirmed, |what| match what {
        Happens::CustomerCancels => Some(Status::Cancelling(CancelReason::Customer)),
        Happens::Heard(Event::Stock(StockEvent::Rejected(StockRejected { rejection: Rejection::Expired, .. }))) => {
            Some(Status::Cancelling(CancelReason::OutOfStock))
        }
        _ if of_type(what, "payment.capture_failed.v1") => Some(Status::Cancelling(CancelReason::PaymentExpired)),
        _ if of_type(what, "shipment.dispatched.v1") => Some(Status::Shipped),
        _ => None,
    });
}

#[test]
fn from_partially_shipped() {
    let past = [authorized(), captured(), created(1, 1), created(2, 1), dispatched(2)];
    only_these_move(&past, Status::PartiallyShipped, |what| {
        let called_off = matches!(what, Happens::Heard(Event::Stock(StockEvent::Restocked(back))) if back.cause == RestockCause::CalledOff);
        (of_type(what, "shipment.dispatched.v1") || called_off).then_some(Status::Shipped)
    });
}

#[test]
fn from_shipped() {
    let past = [authorized(), captured(), created(1, 2), dispatched(1)];
    only_these_move(&past, Status::Shipped, |what| {
        let ended = of_type(what, "shipment.delivered.v1") || of_type(what, "shipment.returned.v1");
        ended.then_some(Status::Completed)
    });
}

#[test]
fn from_shipped_and_not_yet_known_to_be_paid() {
    let past = [authorized(), created(1, 2), dispatched(1), delivered(1)];
    only_these_move(&past, Status::Shipped, |what| of_type(what, "payment.captured.v1").then_some(Status::Completed));
}

#[test]
fn from_shipped_with_a_parcel_lost() {
    let past = [authorized(), captured(), created(1, 2), dispatched(1), lost(1)];
    only_these_move(&past, Status::Shipped, |what| {
        let ended = of_type(what, "shipment.delivered.v1") || of_type(what, "shipment.returned.v1");
        let all_back = matches!(what, Happens::Heard(Event::Payment(PaymentEvent::Refunded(refund))) if refund.remaining.is_zero());
        (ended || all_back).then_some(Status::Completed)
    });
}

#[test]
fn from_completed() {
    let past = [authorized(), captured(), created(1, 2), dispatched(1), delivered(1)];
    only_these_move(&past, Status::Completed, |_| None);
}

#[test]
fn from_cancelling_with_goods_and_money_out() {
    let past = [reserved(), authorized(), created(1, 2), Happens::CustomerCancels];
    only_these_move(&past, Status::Cancelling(CancelReason::Customer), |what| {
        of_type(what, "shipment.dispatched.v1").then_some(Status::Shipped)
    });
}

#[test]
fn from_cancelling_with_goods_back() {
    let past = [reserved(), authorized(), Happens::CustomerCancels, released(), created(1, 2)];
    only_these_move(&past, Status::Cancelling(CancelReason::Customer), |what| match what {
        _ if of_type(what, "shipment.dispatched.v1") => Some(Status::Shipped),
        _ if of_type(what, "payment.voided.v1") => Some(Status::Cancelled(CancelReason::Customer)),
        Happens::Heard(Event::Payment(PaymentEvent::Refunded(refund))) if refund.remaining.is_zero() => {
            Some(Status::Cancelled(CancelReason::Customer))
        }
        Happens::Heard(Event::Payment(PaymentEvent::Declined(declined))) if !declined.retryable => {
            Some(Status::Cancelled(CancelReason::Customer))
        }
        _ => None,
    });
}

#[test]
fn from_cancelling_with_money_back() {
    let past = [reserved(), authorized(), Happens::CustomerCancels, voided(), created(1, 2)];
    only_these_move(&past, Status::Cancelling(CancelReason::Customer), |what| match what {
        _ if of_type(what, "shipment.dispatched.v1") => Some(Status::Shipped),
        _ if of_type(what, "stock.released.v1") => Some(Status::Cancelled(CancelReason::Customer)),
        Happens::Heard(Event::Stock(StockEvent::Restocked(back))) if back.cause == RestockCause::Cancelled => {
            Some(Status::Cancelled(CancelReason::Customer))
        }
        Happens::Heard(Event::Stock(StockEvent::Rejected(StockRejected {
            rejection: Rejection::Shortages { .. },
            ..
        }))) => Some(Status::Cancelled(CancelReason::Customer)),
        _ => None,
    });
}

#[test]
fn from_cancelled() {
    let past = [reserved(), Happens::CustomerCancels, released(), voided()];
    only_these_move(&past, Status::Cancelled(CancelReason::Customer), |_| None);
}
