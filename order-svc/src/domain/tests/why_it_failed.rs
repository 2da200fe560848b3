use shared_events::*;

use super::{id, payment};
use crate::domain::Progress;

fn pending() -> Progress {
    Progress::new(id(), 3)
}

fn declined(code: &str, retryable: bool) -> PaymentEvent {
    let (order_id, payment_id, code) = (id(), payment(), code.to_owned());
    PaymentEvent::Declined(PaymentDeclined { order_id, payment_id, code, retryable })
}

fn asks_the_customer() -> PaymentEvent {
    let (order_id, payment_id) = (id(), payment());
    PaymentEvent::ActionRequired(PaymentActionRequired { order_id, payment_id, deadline: None, url: None })
}

fn reserved() -> StockEvent {
    StockEvent::Reserved(StockReserved { order_id: id(), expires_at: chrono::DateTime::UNIX_EPOCH })
}

fn released(reason: CancelReason) -> StockEvent {
    StockEvent::Released(StockReleased { order_id: id(), reason })
}

fn voided() -> PaymentEvent {
    let (order_id, payment_id, amount) = (id(), payment(), Money::zero(Currency::EUR));
    PaymentEvent::Voided(PaymentVoided { order_id, payment_id, amount })
}

fn end(events: &[Event]) -> OrderCancelled {
    match events.last() {
        Some(Event::Order(OrderEvent::Cancelled(cancelled))) => cancelled.clone(),
        other => panic!("it has not ended: {other:?}"),
    }
}

#[test]
fn lines_that_were_short_are_told_with_how_many_there_are() {
    let short = Shortage { sku: "TEA".parse().unwrap(), requested: 3.try_into().unwrap(), available: 1 };
    let rejection = Rejection::Shortages { lines: vec![short.clone()] };
    let rejected = StockEvent::Rejected(StockRejected { order_id: id(), rejection });
    let (_, events) = pending().hear_stock(&rejected, EventId::new()).unwrap();
    assert_eq!((end(&events).reason, end(&events).shortages), (CancelReason::OutOfStock, vec![short]));
}

#[test]
fn a_decline_is_told_with_its_code_and_one_that_passed_is_not() {
    let (order, _) = pending().hear_stock(&reserved(), EventId::new()).unwrap();
    let (order, _) = order.hear_payment(&declined("insufficient_funds", true)).unwrap();
    let (order, _) = order.hear_payment(&declined("stolen_card", false)).unwrap();
    let (_, events) = order.hear_stock(&released(CancelReason::PaymentDeclined), EventId::new()).unwrap();
    assert_eq!(end(&events).payment_code.as_deref(), Some("stolen_card"));

    let (order, _) = pending().hear_payment(&declined("insufficient_funds", true)).unwrap();
    let (order, _) = order.cancel().unwrap();
    let (order, _) = order.hear_stock(&released(CancelReason::Customer), EventId::new()).unwrap();
    let (_, events) = order.hear_payment(&voided()).unwrap();
    assert_eq!((end(&events).reason, end(&events).payment_code), (CancelReason::Customer, None));
}

#[test]
fn a_customer_who_was_waited_for_in_vain_is_why_time_ran_out_and_nobody_else_is() {
    for waited in [true, false] {
        let (mut order, _) = pending().hear_stock(&reserved(), EventId::new()).unwrap();
        if waited {
            order = order.hear_payment(&asks_the_customer()).unwrap().0;
        }
        let expired = StockEvent::Expired(StockExpired { order_id: id() });
        for ended in [order.clone().time_out().unwrap().0, order.hear_stock(&expired, EventId::new()).unwrap().0] {
            let (order, _) = ended.hear_stock(&released(CancelReason::Timeout), EventId::new()).unwrap();
            let (_, events) = order.hear_payment(&voided()).unwrap();
            let code = waited.then_some(AUTHENTICATION_TIMEOUT);
            assert_eq!((end(&events).reason, end(&events).payment_code.as_deref()), (CancelReason::Timeout, code));
        }
    }
}
