//! The order of events doesn't matter: whatever comes first, twice or late, stock and money are right in the end.
#![allow(clippy::print_stdout, reason = "the seeds are for whoever wants to walk the same way again")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scenes;

use std::collections::BTreeMap;

use quadrille_model::{Play, walk};

const WALKS: u64 = 10_000;
/// How many orders run at the same time and compete for the same stock.
const ORDERS: usize = 3;

fn all_end_well(play: &Play, walks: u64) {
    let first = scenes::first_seed(WALKS);
    println!("{}: seeds {first} to {} (DANCE_SEED={first} walks them again)", play.name, first + walks - 1);
    let (mut ends, mut steps, mut again) = (BTreeMap::<String, usize>::new(), 0, 0);
    for seed in first..first + walks {
        let walked = walk(play, ORDERS, seed).unwrap_or_else(|stumbled| panic!("{}: {stumbled}", play.name));
        walked.ends.into_iter().for_each(|(end, orders)| *ends.entry(end).or_default() += orders);
        (steps, again) = (steps + walked.steps, again + walked.again);
    }
    println!("    {steps} steps and {again} events sent again; ends {ends:?}");
    for end in ["completed", "cancelled customer", "cancelled out_of_stock", "cancelled payment_declined"] {
        assert!(ends.contains_key(end), "no order ended {end}");
    }
}

#[test]
fn ten_thousand_interleavings_end_with_stock_and_money_right() {
    all_end_well(&Play { name: "everything at once", ..scenes::EVERYTHING }, WALKS);
}

#[test]
fn so_do_a_thousand_whose_inboxes_forget() {
    all_end_well(
        &Play { name: "everything at once, inboxes that forget", forgetful: true, ..scenes::EVERYTHING },
        1_000,
    );
}
