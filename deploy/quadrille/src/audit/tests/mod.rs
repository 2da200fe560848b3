#![allow(clippy::unwrap_used, clippy::panic)]

mod books;
mod generated;
mod heard;
mod many_ranges;
mod seen;
mod told;
mod topics;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use shared_events::{EventId, RefundId};
use uuid::Uuid;

use super::evidence::Evidence;
use super::findings::Broken;
use super::rows::{Hearing, Line, Lying, Mail, Movement, Order, Payment, Refund, Reservation, Shipment};
use super::{goods, hearing, mails, orders};
use crate::{records::Record, service::Service};

const ORDER: &str = "0199a0b0-0000-7000-8000-000000000001";
const PRICE: i64 = 500;

fn now() -> DateTime<Utc> {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn ago(minutes: i64) -> DateTime<Utc> {
    now() - TimeDelta::minutes(minutes)
}

fn tea(quantity: i64) -> Vec<Line> {
    vec![Line { sku: "TEA".to_owned(), quantity }]
}

/// An order of ten pieces, firm, paid and delivered an hour ago in two parcels, of four and of six.
fn delivered() -> Evidence {
    let order = Order {
        id: ORDER.to_owned(),
        status: "completed".to_owned(),
        total: 10 * PRICE,
        lines: tea(10),
        prices: BTreeMap::from([("TEA".to_owned(), PRICE)]),
        stock: Some("committed".to_owned()),
        captured: true,
        deadline: ago(60),
        waiting_since: ago(60),
        said: 3,
        recorded: 9,
        history_pruned: false,
    };
    let goods = Reservation {
        order_id: ORDER.to_owned(),
        reservation: Some("committed".to_owned()),
        expires_at: None,
        lines: tea(10),
        updated_at: ago(60),
        stock_said: 2,
        shipments_said: 6,
    };
    let payment = Payment {
        order_id: ORDER.to_owned(),
        payment_id: "payment".to_owned(),
        amount: Some(10 * PRICE),
        captured: 10 * PRICE,
        refunded: 0,
        updated_at: ago(60),
        said: 2,
        in_flight_since: None,
    };
    let parcel = |id: &str, pieces| Shipment {
        id: id.to_owned(),
        order_id: ORDER.to_owned(),
        status: "delivered".to_owned(),
        lines: tea(pieces),
        returned: vec![],
        split: false,
        arrived_at: Some(ago(60)),
    };
    Evidence {
        now: now(),
        orders: BTreeMap::from([(ORDER.to_owned(), order)]),
        reservations: BTreeMap::from([(ORDER.to_owned(), goods)]),
        payments: BTreeMap::from([(ORDER.to_owned(), payment)]),
        shipments: vec![parcel("four", 4), parcel("six", 6)],
        topics_are_whole: true,
        ..Evidence::default()
    }
}

fn order(evidence: &mut Evidence) -> &mut Order {
    evidence.orders.get_mut(ORDER).unwrap()
}

fn stock(evidence: &mut Evidence) -> &mut Reservation {
    evidence.reservations.get_mut(ORDER).unwrap()
}

fn payment(evidence: &mut Evidence) -> &mut Payment {
    evidence.payments.get_mut(ORDER).unwrap()
}

fn refund(refund_id: Uuid, pieces: i64, state: &str) -> Refund {
    Refund { refund_id, payment_id: "payment".to_owned(), amount: pieces * PRICE, state: state.to_owned() }
}

fn of_event() -> Uuid {
    RefundId::caused_by(EventId(Uuid::now_v7())).0
}

fn found(check: fn(&Evidence, &mut Broken), evidence: &Evidence) -> Vec<String> {
    let mut broken = Broken::of(0);
    check(evidence, &mut broken);
    broken.found.into_iter().map(|finding| finding.what).collect()
}

#[track_caller]
fn holds(check: fn(&Evidence, &mut Broken), evidence: &Evidence) {
    assert_eq!(found(check, evidence), Vec::<String>::new());
}

#[track_caller]
fn is_broken(check: fn(&Evidence, &mut Broken), evidence: &Evidence, what: &str) {
    let found = found(check, evidence);
    assert!(found.len() == 1 && found[0].contains(what), "{found:?} should be one, of {what:?}");
}

#[test]
fn an_order_that_is_firm_and_paid_has_a_parcel_soon() {
    let mut shop = delivered();
    order(&mut shop).status = "confirmed".to_owned();
    order(&mut shop).waiting_since = ago(60);
    shop.shipments.clear();
    is_broken(orders::ends, &shop, "has no parcel");
    payment(&mut shop).updated_at = ago(1);
    holds(orders::ends, &shop);
    payment(&mut shop).updated_at = ago(60);
    payment(&mut shop).captured = 0;
    holds(orders::ends, &shop);
}

#[test]
fn an_order_whose_parcels_have_all_arrived_is_completed_soon() {
    let mut shop = delivered();
    holds(orders::ends, &shop);
    order(&mut shop).status = "shipped".to_owned();
    is_broken(orders::ends, &shop, "all its parcels have arrived");
    for on_its_way in 0..2 {
        shop.shipments[on_its_way].status = "dispatched".to_owned();
        holds(orders::ends, &shop);
        shop.shipments[on_its_way].status = "delivered".to_owned();
    }
    shop.shipments[1].arrived_at = Some(ago(1));
    holds(orders::ends, &shop);
}

#[test]
fn what_came_back_is_refunded_soon() {
    let mut shop = delivered();
    holds(goods::shipped, &shop);
    shop.shipments[0].returned = tea(1);
    is_broken(goods::shipped, &shop, "500 is the price of what is back or lost, and 0 of it is refunded");
    stock(&mut shop).updated_at = ago(1);
    holds(goods::shipped, &shop);
    stock(&mut shop).updated_at = ago(60);
    shop.refunds = vec![refund(of_event(), 1, "calling")];
    holds(goods::shipped, &shop);
    shop.refunds = vec![refund(of_event(), 1, "done")];
    holds(goods::shipped, &shop);
}

#[test]
fn what_was_lost_or_never_left_is_refunded_too() {
    let mut shop = delivered();
    shop.shipments[1].status = "lost".to_owned();
    is_broken(goods::shipped, &shop, "3000 is the price");
    shop.refunds = vec![refund(of_event(), 6, "done")];
    holds(goods::shipped, &shop);

    let mut undone = delivered();
    undone.shipments.clear();
    order(&mut undone).status = "cancelled".to_owned();
    for end in ["restocked", "released"] {
        stock(&mut undone).reservation = Some(end.to_owned());
        undone.refunds.clear();
        is_broken(goods::shipped, &undone, "5000 is the price");
        undone.refunds = vec![refund(of_event(), 10, "done")];
        holds(goods::shipped, &undone);
    }
}

#[test]
fn what_was_called_off_is_back_on_the_shelf_and_refunded_and_what_was_split_is_neither() {
    let movement = |(id, (kind, quantity)): (i64, (&str, i64))| Movement {
        id,
        sku: "TEA".to_owned(),
        kind: kind.to_owned(),
        quantity,
        order_id: Some(ORDER.to_owned()),
    };
    let moved = |moves: &[(&str, i64)]| {
        let mut shop = delivered();
        shop.shipments[1].status = "cancelled".to_owned();
        shop.movements = (1..).zip(moves.iter().copied()).map(movement).collect();
        shop
    };
    let mut shop = moved(&[("committed", -10), ("restocked", 6)]);
    holds(goods::of_orders, &shop);
    is_broken(goods::shipped, &shop, "3000 is the price of what is back or lost, and 0 of it is refunded");
    shop.refunds = vec![refund(of_event(), 6, "done")];
    holds(goods::shipped, &shop);
    shop.refunds = vec![refund(of_event(), 10, "done")];
    is_broken(goods::shipped, &shop, "5000 is refunded, and 3000 is the price");
    is_broken(goods::of_orders, &moved(&[("committed", -10)]), "restocked should be 6, and is 0");
    let mut split = moved(&[("committed", -10), ("restocked", 6)]);
    split.shipments[1].split = true;
    is_broken(goods::of_orders, &split, "restocked should be 0, and is 6");
    split.refunds = vec![refund(of_event(), 6, "done")];
    is_broken(goods::shipped, &split, "3000 is refunded, and 0 is the price");
}

#[test]
fn no_more_is_refunded_than_came_back() {
    let mut shop = delivered();
    shop.shipments[0].returned = tea(1);
    shop.refunds = vec![refund(of_event(), 10, "done")];
    is_broken(goods::shipped, &shop, "5000 is refunded, and 500 is the price of what is back or lost");
}

#[test]
fn staff_may_refund_what_never_came_back_and_less_is_left_for_what_does() {
    let mut shop = delivered();
    shop.refunds = vec![refund(Uuid::now_v7(), 9, "done")];
    holds(goods::shipped, &shop);
    shop.shipments[0].returned = tea(4);
    is_broken(goods::shipped, &shop, "500 is the price of what is back or lost");
    shop.refunds.push(refund(of_event(), 1, "done"));
    holds(goods::shipped, &shop);
}

#[test]
fn a_refused_refund_is_shown_as_staffs_until_they_have_made_up_for_it() {
    let mut shop = delivered();
    shop.shipments[0].returned = tea(2);
    shop.refunds = vec![refund(of_event(), 2, "failed")];
    let figures = |shop: &Evidence| {
        let mut broken = Broken::of(13);
        goods::shipped(shop, &mut broken);
        assert_eq!(broken.found, []);
        broken.figures.told()
    };
    assert!(figures(&shop).contains(&format!("refused refunds that wait for staff: 1 (order {ORDER})")));
    shop.refunds.push(refund(Uuid::now_v7(), 2, "done"));
    assert!(figures(&shop).contains("no refused refund waits for staff"));
}

/// `shipment.lost`, at offset 7 of its partition.
fn lost(sent_at: DateTime<Utc>) -> Record {
    let seconds = u64::try_from(ago(60).timestamp()).unwrap();
    let id = Uuid::new_v7(uuid::Timestamp::from_unix_time(seconds, 0, 0, 0));
    Record {
        topic: "shipments.v1".to_owned(),
        partition: 1,
        offset: 7,
        sent_at: Some(sent_at),
        key: ORDER.to_owned(),
        id: id.to_string(),
        event_type: "shipment.lost.v1".to_owned(),
        sequence: 3,
        source: "/stock-svc".to_owned(),
        made_at: None,
        caused_by: None,
    }
}

#[test]
fn nothing_is_promised_any_more_once_the_end_was_heard() {
    let mail = |template: &str, created_at, taken_at: DateTime<Utc>| Mail {
        id: template.to_owned(),
        order_id: ORDER.to_owned(),
        template: template.to_owned(),
        channel: "email".to_owned(),
        event_id: template.to_owned(),
        status: "sent".to_owned(),
        created_at,
        due_at: taken_at + TimeDelta::minutes(2),
    };
    let shop = |taken_at| {
        let mut shop = Evidence { topics_are_whole: false, ..delivered() };
        order(&mut shop).status = "cancelled".to_owned();
        shop.mails = vec![mail("order_confirmed", ago(9), taken_at), mail("order_cancelled", ago(5), ago(2))];
        shop
    };
    holds(mails::mails, &shop(ago(6)));
    holds(mails::mails, &shop(ago(5)));
    is_broken(mails::mails, &shop(ago(4)), "was taken for sending");
}

#[test]
fn a_fact_is_told_once_by_each_channel() {
    let text = |channel: &str| Mail {
        id: Uuid::now_v7().to_string(),
        order_id: ORDER.to_owned(),
        template: "shipment_lost".to_owned(),
        channel: channel.to_owned(),
        event_id: "e-1".to_owned(),
        status: "queued".to_owned(),
        created_at: ago(5),
        due_at: ago(5),
    };
    let shop = |channels: &[&str]| Evidence {
        topics_are_whole: false,
        mails: channels.iter().map(|channel| text(channel)).collect(),
        ..delivered()
    };
    holds(mails::mails, &shop(&["email", "sms", "push"]));
    is_broken(mails::mails, &shop(&["email", "sms", "sms"]), "a second time");
}
