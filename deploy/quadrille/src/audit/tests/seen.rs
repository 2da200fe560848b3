//! What each rule on money, goods, transitions and sequences is there to see.

use super::super::rows::{Effect, Step};
use super::*;
use crate::audit::{events, money};

fn effect(operation: &str, amount: i64, key: &str) -> Effect {
    let (order_id, key) = (Some(ORDER.to_owned()), Some(key.to_owned()));
    Effect { order_id, operation: operation.to_owned(), amount, key }
}

/// Authorised and captured, as the gateway and the ledger say.
fn paid() -> Evidence {
    let both = || vec![effect("authorise", 10 * PRICE, "one"), effect("capture", 10 * PRICE, "two")];
    Evidence { journal: Some(both()), ledger: both(), ..delivered() }
}

fn at_the_gateway(evidence: &mut Evidence) -> &mut Vec<Effect> {
    evidence.journal.as_mut().unwrap()
}

#[test]
fn what_the_gateway_did_and_the_ledger_does_not_know_is_seen_and_the_other_way_round() {
    holds(money::journal, &paid());
    let mut shop = paid();
    at_the_gateway(&mut shop).push(effect("refund", PRICE, "three"));
    is_broken(money::journal, &shop, "the gateway's journal says authorise 5000, capture 5000, refund 500, the ledger");
    let mut shop = paid();
    shop.ledger.pop();
    is_broken(money::journal, &shop, "the ledger authorise 5000");
}

#[test]
fn a_key_that_had_two_effects_is_seen() {
    let mut shop = paid();
    holds(money::one_effect_a_key, &shop);
    at_the_gateway(&mut shop)[1].key = Some("one".to_owned());
    is_broken(money::one_effect_a_key, &shop, "2 effects (authorise, capture) at the gateway under one key");
}

#[test]
fn money_of_a_cancelled_order_is_seen() {
    let mut shop = paid();
    order(&mut shop).status = "cancelled".to_owned();
    is_broken(money::cancelled, &shop, "0 is authorised and 5000 captured still");
    at_the_gateway(&mut shop).push(effect("refund", 10 * PRICE, "three"));
    holds(money::cancelled, &shop);
    shop.journal = Some(vec![effect("authorise", 10 * PRICE, "one")]);
    is_broken(money::cancelled, &shop, "5000 is authorised and 0 captured still");
}

#[test]
fn money_that_staff_gave_back_outside_of_the_gateway_counts_as_given_back_and_not_as_the_gateways() {
    let mut shop = paid();
    order(&mut shop).status = "cancelled".to_owned();
    shop.ledger.push(effect("refund_outside", 10 * PRICE, "three"));
    holds(money::journal, &shop);
    holds(money::cancelled, &shop);
    shop.journal = None;
    holds(money::cancelled, &shop);
    shop.ledger[2].amount -= 1;
    is_broken(money::cancelled, &shop, "0 is authorised and 1 captured still");
}

#[test]
fn goods_of_a_cancelled_order_that_never_came_back_are_seen() {
    let mut shop = delivered();
    order(&mut shop).status = "cancelled".to_owned();
    is_broken(goods::holds, &shop, "its goods never came back");
    stock(&mut shop).reservation = Some("restocked".to_owned());
    order(&mut shop).stock = Some("restocked".to_owned());
    holds(goods::holds, &shop);
}

/// Its history, of these statuses.
fn history(statuses: &[&str]) -> Evidence {
    let step = |(place, status): (usize, &&str)| Step {
        order_id: ORDER.to_owned(),
        position: i64::try_from(place).unwrap() + 1,
        event_id: Uuid::now_v7(),
        status_before: place.checked_sub(1).map(|before| statuses[before].to_owned()),
        status: (*status).to_owned(),
    };
    let mut shop = Evidence { history: statuses.iter().enumerate().map(step).collect(), ..delivered() };
    (order(&mut shop).recorded, order(&mut shop).status) =
        (i64::try_from(statuses.len()).unwrap(), statuses[statuses.len() - 1].to_owned());
    shop
}

#[test]
fn an_order_that_was_revived_or_went_a_way_that_there_is_not_is_seen() {
    holds(orders::transitions, &history(&["pending", "confirmed", "partially_shipped", "shipped", "completed"]));
    holds(orders::transitions, &history(&["confirmed", "partially_shipped", "completed"]));
    holds(orders::transitions, &history(&["pending", "cancelling", "cancelled"]));
    holds(orders::transitions, &history(&["confirmed", "cancelling", "shipped"]));
    is_broken(orders::transitions, &history(&["pending", "cancelling", "confirmed"]), "from cancelling to confirmed");
    is_broken(orders::transitions, &history(&["cancelled", "confirmed"]), "from cancelled to confirmed");
    is_broken(orders::transitions, &history(&["confirmed", "completed"]), "from confirmed to completed");
    let mut shop = history(&["pending", "confirmed"]);
    shop.history.remove(0);
    is_broken(orders::transitions, &shop, "step 1 of its history is missing");
}

#[test]
fn a_gap_in_a_keys_sequence_and_an_event_under_anothers_number_are_seen() {
    let event = |sequence| Record { sequence, id: Uuid::now_v7().to_string(), ..lost(ago(60)) };
    let shop = |sequences: &[u64]| Evidence {
        records: sequences.iter().copied().map(event).collect(),
        topics_are_whole: true,
        ..Evidence::default()
    };
    holds(events::contiguous, &shop(&[1, 2, 3]));
    assert_eq!(found(events::contiguous, &shop(&[1, 3])).len(), 1);
    assert_eq!(found(events::contiguous, &shop(&[1, 2, 2])).len(), 1);
    assert_eq!(found(events::contiguous, &shop(&[2, 3])).len(), 1, "its first is gone");
}

/// As if stock-svc had announced the tea so often, and these of its events lay in the compacted topic.
fn announced(said: u64, kept: &[u64]) -> Evidence {
    let record = |sequence: &u64| Record {
        topic: "products.v1".to_owned(),
        key: "TEA".to_owned(),
        event_type: "product.changed.v1".to_owned(),
        sequence: *sequence,
        ..lost(now())
    };
    Evidence {
        present_said: BTreeMap::from([(("products.v1".to_owned(), "TEA".to_owned()), said)]),
        present: kept.iter().map(record).collect(),
        ..delivered()
    }
}

#[test]
fn the_newest_event_of_a_product_is_missed_where_it_is_lost_and_older_ones_are_not() {
    holds(events::present_published, &announced(4, &[4]));
    holds(events::present_published, &announced(4, &[1, 2, 4, 4, 3]));
    is_broken(events::present_published, &announced(4, &[1, 3]), "event 4 on products.v1 was committed");
    is_broken(events::present_published, &announced(1, &[]), "0 is the newest there");
    is_broken(events::present_published, &announced(3, &[4]), "is on products.v1 as event 4, and stock-svc has said 3");
    let mut waiting = announced(4, &[3]);
    waiting.unpublished.insert(("products.v1".to_owned(), "TEA".to_owned(), 4));
    holds(events::present_published, &waiting);
}

#[test]
fn the_newest_event_of_a_customer_is_missed_too_and_a_product_of_the_same_name_is_no_customer() {
    let as_customer = |said, kept: &[u64]| {
        let mut shop = announced(said, kept);
        shop.present_said = shop.present_said.into_iter().map(|((_, key), said)| (customers(key), said)).collect();
        shop.present.iter_mut().for_each(|record| "customers.v1".clone_into(&mut record.topic));
        shop
    };
    holds(events::present_published, &as_customer(4, &[2, 4]));
    is_broken(events::present_published, &as_customer(4, &[3]), "event 4 on customers.v1 was committed");
    is_broken(events::present_published, &as_customer(3, &[4]), "as event 4, and order-svc has said 3");
    let mut shop = as_customer(4, &[4]);
    shop.present.iter_mut().for_each(|record| "products.v1".clone_into(&mut record.topic));
    assert_eq!(found(events::present_published, &shop).len(), 2, "one is lost, and one was never said");
}

fn customers(key: String) -> (String, String) {
    ("customers.v1".to_owned(), key)
}
