use super::*;

fn waits_for<const N: usize>(before: [Happens; N]) -> Option<&'static str> {
    given(before).0.waiting_for().map(|waiting| waiting.fact)
}

#[test]
fn a_pending_order_waits_for_goods_and_then_for_money() {
    assert_eq!(waits_for([]), Some("stock.reserved"));
    assert_eq!(waits_for([reserved()]), Some("payment.authorized"));
}

#[test]
fn a_confirmed_order_waits_for_what_brings_it_out_of_the_house() {
    assert_eq!(waits_for([reserved(), authorized()]), Some("stock.committed"));
    assert_eq!(waits_for([authorized(), committed()]), Some("payment.captured"));
    assert_eq!(waits_for([authorized(), committed(), captured()]), Some("shipment.created"));
    assert_eq!(waits_for([authorized(), committed(), captured(), created(1, 2)]), Some("shipment.dispatched"));
}

#[test]
fn a_shipped_order_waits_for_its_parcels() {
    let on_its_way = [authorized(), captured(), created(1, 1), created(2, 1), dispatched(1)];
    assert_eq!(waits_for(on_its_way), Some("shipment.dispatched"));
    assert_eq!(waits_for([authorized(), captured(), created(1, 2), dispatched(1)]), Some("shipment.delivered"));
    assert_eq!(waits_for([authorized(), created(1, 2), dispatched(1), delivered(1)]), Some("payment.captured"));
    assert_eq!(waits_for([authorized(), captured(), created(1, 2), dispatched(1), lost(1)]), Some("payment.refunded"));
}

#[test]
fn a_cancelling_order_waits_for_goods_first_and_money_after() {
    assert_eq!(waits_for([reserved(), Happens::CustomerCancels]), Some("stock.released"));
    assert_eq!(waits_for([authorized(), committed(), Happens::CustomerCancels]), Some("stock.restocked"));
    assert_eq!(waits_for([Happens::CustomerCancels, released()]), Some("payment.voided"));
    let refund_due = [authorized(), captured(), Happens::CustomerCancels, restocked(RestockCause::Cancelled)];
    assert_eq!(waits_for(refund_due), Some("payment.refunded"));
}

#[test]
fn who_has_to_act_is_named() {
    let from = |before: Vec<Happens>| given(before).0.waiting_for().map(|waiting| waiting.from);
    assert_eq!(from(vec![reserved()]), Some("payment-svc"));
    assert_eq!(from(vec![reserved(), action_required()]), Some("customer"));
    assert_eq!(from(vec![reserved(), action_required(), authorized()]), Some("stock-svc"));
    let back = restocked(RestockCause::Cancelled);
    let refunding = vec![authorized(), committed(), captured(), Happens::CustomerCancels, back];
    assert_eq!(from(refunding.clone()), Some("payment-svc"));
    // The order doesn't wait for a refund that only staff wanted and the gateway refused. It waits for the refund
    // that the restock caused, whatever else is refunded.
    assert_eq!(from([refunding.clone(), vec![refund_failed()]].concat()), Some("payment-svc"));
    assert_eq!(from([refunding, vec![undo_refused(), refunded(15_00)]].concat()), Some("staff"));
}

#[test]
fn an_ended_order_waits_for_nothing() {
    assert_eq!(waits_for([short()]), None);
    assert_eq!(waits_for([authorized(), captured(), created(1, 2), dispatched(1), delivered(1)]), None);
}
