//! Tests the exploration itself: if any rule is left out, it finds the harm that follows.
#![allow(clippy::print_stdout, reason = "the stories are for whoever reads the test's output")]

mod scenes;

use quadrille_model::{Broken, Play, Sabotage, Until, explore};

/// A shortest way to a broken rule, in the first setting that has one.
fn noticed(sabotage: Sabotage) -> Option<(Play, Broken)> {
    let models = scenes::MODEL.iter().map(|(scene, _)| scene).filter(|_| sabotage.is_the_models());
    models.chain(&scenes::OURS).filter(|scene| sabotage.matters_in(scene)).find_map(|scene| {
        let play = Play { sabotage: Some(sabotage), ..*scene };
        explore(&play, Until::Harm).broken.into_iter().next().map(|broken| (play, broken))
    })
}

#[test]
fn every_rule_that_is_left_out_is_noticed() {
    let mut unnoticed = Vec::new();
    for sabotage in Sabotage::ALL {
        match noticed(sabotage) {
            Some((play, broken)) => println!("without \"{sabotage}\", in {}: {broken}", play.name),
            None => unnoticed.push(sabotage),
        }
    }
    assert!(unnoticed.is_empty(), "not noticed: {unnoticed:?}");
}
