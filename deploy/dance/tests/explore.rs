//! Every interleaving of an order's facts, on the services' own state machines.
#![allow(clippy::print_stdout, reason = "the figures are for whoever reads the test's output")]

use quadrille_dance::{Play, Until, explore};

/// One line of one piece, and nothing that not every scene has.
const PLAIN: Play = Play {
    name: "plain",
    lines: 1,
    crowded: true,
    retries: false,
    three_ds: false,
    returns: false,
    refused_at_the_door: false,
    deadline: false,
    staff: false,
    packing: false,
    silent: false,
    sabotage: None,
};

/// No rule is broken in any state of this play; says how many there are.
fn holds(play: &Play, note: &str) {
    let found = explore(play, Until::Exhausted);
    let ends: Vec<_> = found.ends.iter().map(|(end, states)| format!("{end} {states}")).collect();
    let Play { name, .. } = play;
    println!("{name}: {} states, {} steps, {} deep{note}", found.states, found.steps, found.depth);
    println!("    ends {}", ends.join(", "));
    let broken: Vec<_> = found.broken.iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

/// One of the scenes of the model in Python that this exploration was made after.
fn as_in_the_model(play: &Play, states: &str) {
    holds(play, &format!("; the model has {states} states"));
}

#[test]
fn payments() {
    as_in_the_model(&Play { name: "payments", retries: true, three_ds: true, ..PLAIN }, "118,278");
}

#[test]
fn returns() {
    as_in_the_model(&Play { name: "returns", returns: true, ..PLAIN }, "17,730");
}

#[test]
fn two_lines_and_a_staff_refund() {
    let play = Play { name: "two lines and a staff refund", lines: 2, returns: true, staff: true, ..PLAIN };
    as_in_the_model(&play, "142,394");
}

#[test]
fn all_of_it_one_line() {
    let play = Play { name: "all of it, one line", retries: true, three_ds: true, returns: true, ..PLAIN };
    as_in_the_model(&play, "154,758");
}

#[test]
fn a_silent_gateway() {
    holds(&Play { name: "a silent gateway", silent: true, ..PLAIN }, "");
}

#[test]
fn a_payment_deadline() {
    holds(&Play { name: "a payment deadline", deadline: true, retries: true, ..PLAIN }, "");
}

#[test]
fn a_parcel_that_is_packed_and_refused_at_the_door() {
    let name = "a parcel that is packed and refused at the door";
    holds(&Play { name, lines: 2, packing: true, refused_at_the_door: true, staff: true, ..PLAIN }, "");
}
