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
        let given_back = given_back_before(order, goods, parcels, refunds);
        let expected = (owed - given_back).min(payment.captured - of_staff);
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
        if of_events > owed - given_back {
            let before = if given_back == 0 { "" } else { ", less what staff gave back by line" };
            let owed = owed - given_back;
            let what = format!("{of_events} is refunded, and {owed} is the price of what is back or lost{before}");
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
        _ => price(order, back_or_lost(parcels)),
    }
}

/// The lines that came back, were lost or were called off.
fn back_or_lost<'a>(parcels: &'a [&Shipment]) -> impl Iterator<Item = &'a Line> {
    let never_arrives = |parcel: &&&Shipment| parcel.status == "lost" || parcel.was_called_off();
    let lines = parcels.iter().filter(never_arrives).flat_map(|parcel| &parcel.lines);
    parcels.iter().flat_map(|parcel| &parcel.returned).chain(lines)
}

/// The price of what is to go back and staff have given back by line before: no event gives it back again.
fn given_back_before(order: &Order, goods: &Reservation, parcels: &[&Shipment], refunds: &[&Refund]) -> i64 {
    let by_staff = refunds.iter().filter(|refund| refund.state == "done" && !refund.is_of_an_event());
    let by_staff = pieces(by_staff.flat_map(|refund| refund.lines.iter().flatten()));
    let ordered = pieces(&goods.lines);
    let owed = match goods.reservation.as_deref() {
        Some("released" | "tombstone") => return 0,
        Some("restocked") => pieces(&goods.lines),
        _ => pieces(back_or_lost(parcels)),
    };
    let of = |pieces: &BTreeMap<&str, i64>, sku: &str| pieces.get(sku).copied().unwrap_or_default();
    let twice = |(sku, owed): (&&str, &i64)| (owed + of(&by_staff, sku) - of(&ordered, sku)).clamp(0, *owed);
    let price = |sku: &str| order.prices.get(sku).copied().unwrap_or_default();
    owed.iter().map(|line| twice(line) * price(line.0)).sum()
}

fn pieces<'a>(lines: impl IntoIterator<Item = &'a Line>) -> BTreeMap<&'a str, i64> {
    let mut pieces = BTreeMap::new();
    for Line { sku, quantity } in lines {
        *pieces.entry(sku.as_str()).or_default() += quantity;
    }
    pieces
}

fn price<'a>(order: &Order, lines: impl IntoIterator<Item = &'a Line>) -> Option<i64> {
    lines.into_iter().map(|Line { sku, quantity }| order.prices.get(sku).map(|price| price * quantity)).sum()
}
