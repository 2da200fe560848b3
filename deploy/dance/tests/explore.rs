//! Every interleaving of an order's facts, on the services' own state machines.
#![allow(clippy::print_stdout, reason = "the figures are for whoever reads the test's output")]

use quadrille_dance::{Play, Until, explore};

fn holds(play: &Play) {
    let found = explore(play, Until::Exhausted);
    let ends: Vec<_> = found.ends.iter().map(|(end, states)| format!("{end} {states}")).collect();
    println!(
        "{}: {} states, {} steps, {} deep; ends {}",
        play.name,
        found.states,
        found.steps,
        found.depth,
        ends.join(", ")
    );
    let broken: Vec<_> = found.broken.iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

#[test]
fn one_line() {
    holds(&Play { name: "one line", lines: 1, crowded: true, ..Play::default() });
}

#[test]
fn two_lines() {
    holds(&Play { name: "two lines", lines: 2, crowded: true, packing: true, ..Play::default() });
}

#[test]
fn a_silent_gateway() {
    holds(&Play { name: "a silent gateway", lines: 1, crowded: true, silent: true, ..Play::default() });
}
