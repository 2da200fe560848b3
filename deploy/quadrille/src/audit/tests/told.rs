//! What is told of what was found.

use super::*;
use crate::audit::evidence::{Away, Part};
use crate::audit::rules::Pass;
use crate::audit::tally::{KEPT, Tally};

#[test]
fn a_rule_whose_evidence_is_away_is_not_checked_and_the_others_are() {
    let mut shop = delivered();
    payment(&mut shop).captured = 1;
    let away = Away::from([(Part::Payments, "it is empty: payment-svc has never run on it".to_owned())]);
    let mut tally = Tally::default();
    tally.check(Pass::Orders, &shop, &away, None, true);
    let verdicts = tally.verdicts(&away);
    let of = |number: u8| verdicts.iter().find(|verdict| verdict.number == number).unwrap();
    assert!(of(1).broken.is_empty() && of(1).unchecked.as_ref().unwrap().contains("never run"), "{:?}", of(1));
    assert!([4, 5, 8, 10].iter().all(|number| of(*number).unchecked.is_none()));
}

#[test]
fn the_findings_of_a_rule_are_told_up_to_a_number_and_counted_from_there() {
    let mut tally = Tally::default();
    let lying = |number: usize| Lying {
        service: "payment-svc".to_owned(),
        table: "dead_letters".to_owned(),
        key: format!("{number}"),
        topic: "shipments.v1".to_owned(),
        why: None,
    };
    for part in 0..3 {
        let lying = (part * KEPT..(part + 1) * KEPT - 1).map(lying).collect();
        tally.check(Pass::Orders, &Evidence { lying, ..delivered() }, &Away::new(), None, true);
    }
    let verdicts = tally.verdicts(&Away::new());
    let told = &verdicts[11];
    assert_eq!((told.number, told.broken.len(), told.more), (12, KEPT, 2 * KEPT - 3));
    assert!(told.figures.starts_with(&format!("{} dead letters", 3 * KEPT - 3)), "{}", told.figures);
}

#[test]
fn what_is_broken_otherwise_at_the_next_look_is_not_told() {
    let mut shop = Evidence::default();
    shop.lost_orders.insert("lost".to_owned());
    let (mut tally, away) = (Tally::default(), Away::new());
    let suspects = tally.check(Pass::Orders, &shop, &away, None, false);
    shop.lost_orders.insert("lost later".to_owned());
    let suspects = tally.check(Pass::Orders, &shop, &away, Some(&suspects), true);
    assert_eq!(suspects.len(), 1);
    let told: Vec<_> = tally.verdicts(&away).into_iter().flat_map(|verdict| verdict.broken).collect();
    assert_eq!(told.iter().map(|finding| &*finding.of).collect::<Vec<_>>(), ["order lost"]);
}
