//! Every interleaving of an order's facts, on the services' own state machines.
#![allow(clippy::print_stdout, reason = "the figures are for whoever reads the test's output")]

use quadrille_dance::{Play, Until, explore};

fn holds(play: &Play) {
    let found = explore(play, Until::Exhausted);
    let ends: Vec<_> = found.ends.iter().map(|(end, states)| format!("{end} {states}")).collect();
    let Play { name, .. } = play;
    println!("{name}: {} states, {} steps, {} deep; ends {}", found.states, found.steps, found.depth, ends.join(", "));
    let broken: Vec<_> = found.broken.iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

const PLAIN: Play = Play {
    name: "plain",
    lines: 1,
    crowded: true,
    retries: false,
    three_ds: false,
    staff: false,
    packing: false,
    silent: false,
    sabotage: None,
};

#[test]
fn one_line() {
    holds(&PLAIN);
}

#[test]
fn payments() {
    holds(&Play { name: "payments", retries: true, three_ds: true, ..PLAIN });
}

#[test]
fn two_lines_and_a_staff_refund() {
    holds(&Play { name: "two lines and a staff refund", lines: 2, staff: true, packing: true, ..PLAIN });
}

#[test]
fn a_silent_gateway() {
    holds(&Play { name: "a silent gateway", silent: true, ..PLAIN });
}
