//! Every interleaving of an order's facts, on the services' own state machines.
#![allow(clippy::print_stdout, reason = "the figures are for whoever reads the test's output")]

mod scenes;

use quadrille_model::{Play, Until, explore};

/// No rule is broken in any state of this play; says how many there are.
fn holds(play: &Play, note: &str) {
    let found = explore(play, Until::Exhausted);
    let ends: Vec<_> = found.ends.iter().map(|(end, states)| format!("{end} {states}")).collect();
    let Play { name, .. } = play;
    println!("{name}: {} states, {} steps, {} deep{note}", found.states, found.steps, found.depth);
    println!("    ends {}", ends.join(", "));
    let broken: Vec<_> = found.broken.iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{name}: {}", broken.join("\n\n"));
}

/// The numbers of states differ from the model's: the services know more (the reason of a cancellation, each refund by
/// itself, that the gateway need not be asked after an undo) and forget more (nothing said after a payment's end moves an
/// order). With two lines they come back in either order here, and staff refund at any moment, not only as the first.
#[test]
fn no_interleaving_of_the_models_scenes_breaks_a_rule() {
    for (play, states) in &scenes::MODEL {
        holds(play, &format!("; the model has {states} states"));
    }
}

#[test]
fn nor_does_any_of_our_own_scenes() {
    for play in &scenes::OURS {
        holds(play, "");
    }
}
