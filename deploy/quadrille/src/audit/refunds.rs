//! The refunds of rule 13: what events gave back is the price of what came back, was lost or was called off.

use std::collections::BTreeMap;

use super::evidence::Evidence;
use super::findings::Broken;
use super::orders::SOON;
use super::rows::{Line, Order, Payment, Refund, Reservation, Shipment};

/// Order by order. What staff gave back counts first, as there is only what was captured to give back. Counts those
/// that wait for staff, because the gateway or the customer's bank refused a refund: that is no fault of the shop's, and
/// nothing but a person's new refund mends it.
pub(super) fn follow_the_goods(evidence: &Evidence, broken: &mut Broken) {
    let mut refunds = BTreeMap::<&str, Vec<&Refund>>::new();
    for refund in &evidence.refunds {
        refunds.entry(&refund.payment_id).or_default().push(refund);
    }
    let mut parcels = BTreeMap::<&str, Vec<&Shipment>>::new();
    for parcel in &evidence.shipments {
        parcels.entry(&parcel.order_id).or_default().push(parcel);
    }
    let mut for_staff = Vec::new();
    for payment in evidence.payments.values() {
        let id = payment.order_id.as_str();
        let (Some(order), Some(goods)) = (evidence.orders.get(id), evidence.reservations.get(id)) else { continue };
        let refunds = refunds.get(payment.payment_id.as_str()).map_or(&[][..], Vec::as_slice);
        let parcels = parcels.get(id).map_or(&[][..], Vec::as_slice);
        let Some(owed) = owed(order, payment, goods, parcels) else {
            broken.order(id, "something came back or was lost that it has no line for");
            continue;
        };
        let sum = |of_events: bool| -> i64 {
            let done = refunds.iter().filter(|refund| refund.state == "done" && refund.is_of_an_event() == of_events);
            done.map(|refund| refund.amount).sum()
        };
        let (of_events, of_staff) = (sum(true), sum(false));
        let expected = owed.min(payment.captured - of_staff);
        let is = |state: &str| refunds.iter().any(|refund| refund.state == state);
        if is("failed") {
            if of_events + of_staff < owed {
                for_staff.push(id);
            }
        } else if of_events < expected
            && !is("queued")
            && !is("calling")
            && payment.in_flight_since.is_none()
            && goods.updated_at + SOON < evidence.now
        {
            let what = format!("{expected} is the price of what is back or lost, and {of_events} of it is refunded");
            broken.order(id, what);
        }
        // one that was refused has left its share to what was refunded after it
        if of_events > owed {
            let what = format!("{of_events} is refunded, and {owed} is the price of what is back or lost");
            broken.order(id, what);
        }
    }
    let (some, none) = ("refused refunds that wait for staff", "no refused refund waits for staff");
    broken.figures.waiting(some, none, &for_staff);
}

/// What is to go back: the price of what came back, was lost or was called off; everything if the order was undone;
/// nothing if a line is not the order's.
fn owed(order: &Order, payment: &Payment, goods: &Reservation, parcels: &[&Shipment]) -> Option<i64> {
    match goods.reservation.as_deref() {
        Some("released" | "tombstone") => Some(payment.captured),
        Some("restocked") if payment.captured == 0 => Some(0),
        Some("restocked") => price(order, &goods.lines),
        _ => {
            let never_arrives = |parcel: &&&Shipment| parcel.status == "lost" || parcel.was_called_off();
            let lines = parcels.iter().filter(never_arrives).flat_map(|parcel| &parcel.lines);
            price(order, parcels.iter().flat_map(|parcel| &parcel.returned).chain(lines))
        }
    }
}

fn price<'a>(order: &Order, lines: impl IntoIterator<Item = &'a Line>) -> Option<i64> {
    lines.into_iter().map(|Line { sku, quantity }| order.prices.get(sku).map(|price| price * quantity)).sum()
}
