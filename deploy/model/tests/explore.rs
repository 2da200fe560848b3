//! Every interleaving of an order's events, on the services' own state machines.
#![allow(clippy::print_stdout, reason = "the figures are for whoever reads the test's output")]

mod scenes;

use quadrille_model::{Play, Until, explore};

/// Asserts that no rule is broken in any state of this setting, and prints the number of states.
fn holds(play: &Play, note: &str) {
    let found = explore(play, Until::Exhausted);
    let ends: Vec<_> = found.ends.iter().map(|(end, states)| format!("{end} {states}")).collect();
    let Play { name, .. } = play;
    println!("{name}: {} states, {} steps, {} deep{note}", found.states, found.steps, found.depth);
    println!("    ends {}", ends.join(", "));
    let broken: Vec<_> = found.broken.iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{name}: {}", broken.join("\n\n"));
}

/// The numbers of states differ from the Python model's. The services know more: the reason of a cancellation, each
/// refund by itself, and that the gateway need not be asked after an undo. They also forget more: no event after a
/// payment's end moves an order. Here two lines can be returned in either order, and staff can refund at any time.
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
