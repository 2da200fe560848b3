//! Rule 9: what is certain not to have been heard.

use super::*;

/// All that hear it have, but payment-svc, which has come to `position`.
fn unheard_by_payment_svc(sent_at: DateTime<Utc>, position: i64) -> Evidence {
    let record = lost(sent_at);
    let id = record.id.parse().unwrap();
    let heard = |events: &[Uuid]| Hearing {
        events: events.iter().copied().collect(),
        since: Some(ago(24 * 60)),
        positions: BTreeMap::from([(("shipments.v1".to_owned(), 1), position)]),
    };
    let mut shop = Evidence { records: vec![record], ..delivered() };
    shop.heard.insert(Service::OrderSvc, heard(&[id]));
    shop.heard.insert(Service::StockSvc, heard(&[]));
    shop.heard.insert(Service::PaymentSvc, heard(&[]));
    shop.heard.insert(Service::NotificationSvc, heard(&[id]));
    shop
}

#[test]
fn an_event_that_its_consumer_has_gone_past_was_heard() {
    let mut shop = unheard_by_payment_svc(ago(3), 8);
    is_broken(hearing::once, &shop, "payment-svc has never heard shipment.lost.v1");
    let id = shop.records[0].id.parse().unwrap();
    shop.heard.get_mut(&Service::PaymentSvc).unwrap().events.insert(id);
    holds(hearing::once, &shop);
}

#[test]
fn an_event_that_lies_before_its_consumer_may_wait_but_not_for_long() {
    holds(hearing::once, &unheard_by_payment_svc(ago(3), 7));
    is_broken(hearing::once, &unheard_by_payment_svc(ago(11), 7), "payment-svc has never heard");
    holds(hearing::once, &unheard_by_payment_svc(ago(1), 8));
}

#[test]
fn what_is_parked_and_what_the_inbox_may_have_forgotten_counts_as_heard() {
    let mut shop = unheard_by_payment_svc(ago(30), 8);
    let mut reaches = |since| {
        shop.heard.get_mut(&Service::PaymentSvc).unwrap().since = since;
        found(hearing::once, &shop).len()
    };
    let made_at = ago(60);
    assert_eq!(reaches(Some(made_at)), 1);
    assert_eq!(reaches(Some(made_at + TimeDelta::seconds(1))), 0);
    assert_eq!(reaches(None), 0, "nobody knows how far it reaches");
    assert_eq!(reaches(Some(now() - TimeDelta::days(390))), 1, "where topics are kept for a year it reaches as far");
    let mut parked = unheard_by_payment_svc(ago(30), 8);
    parked.lying = vec![Lying {
        service: "payment-svc".to_owned(),
        table: "dead_letters".to_owned(),
        key: ORDER.to_owned(),
        topic: "shipments.v1".to_owned(),
        why: None,
    }];
    holds(hearing::once, &parked);
}

#[test]
fn a_refund_of_an_event_names_one_that_was_said_of_its_order() {
    let mut shop = unheard_by_payment_svc(now(), 7);
    let event = EventId(shop.records[0].id.parse().unwrap());
    shop.refunds = vec![refund(RefundId::caused_by(event).0, 6, "done"), refund(Uuid::now_v7(), 1, "done")];
    holds(hearing::once, &shop);
    shop.refunds.push(refund(of_event(), 1, "done"));
    is_broken(hearing::once, &shop, "no event of it is the cause");
}
