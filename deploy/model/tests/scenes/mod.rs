//! The settings that are explored.
#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses its own part, and fails by panicking")]

use std::time::{SystemTime, UNIX_EPOCH};

use quadrille_model::Play;

/// One line of one piece, with enough stock, and nothing optional.
pub const PLAIN: Play = Play {
    name: "plain",
    lines: 1,
    crowded: false,
    retries: false,
    three_ds: false,
    lost_webhooks: false,
    returns: false,
    refused_at_the_door: false,
    splits: false,
    calls_off: false,
    moves: false,
    forgets: false,
    paid: false,
    rest_stays: false,
    losses: false,
    deadline: false,
    staff: false,
    refusals: false,
    elsewhere: false,
    by_hand: false,
    packing: false,
    silent: false,
    in_flight: false,
    forgetful: false,
    sabotage: None,
};

/// The same, but others may buy the last pieces first.
pub const SCARCE: Play = Play { crowded: true, ..PLAIN };

/// The settings of the Python model on which this exploration is based (it is not kept here), with that model's
/// numbers of states.
pub const MODEL: [(Play, &str); 4] = [
    (Play { name: "payments", retries: true, three_ds: true, ..SCARCE }, "118,278"),
    (Play { name: "returns", returns: true, ..SCARCE }, "17,730"),
    (Play { name: "two lines and a staff refund", lines: 2, returns: true, staff: true, ..SCARCE }, "142,394"),
    (Play { name: "all of it, one line", retries: true, three_ds: true, returns: true, ..SCARCE }, "154,758"),
];

/// Settings that the Python model doesn't have.
pub const OURS: [Play; 16] = [
    Play { name: "an order in two parcels that may be lost", lines: 2, splits: true, losses: true, ..PLAIN },
    Play { name: "a parcel that is lost, and a refund by staff", lines: 2, losses: true, staff: true, ..SCARCE },
    Play { name: "a refund that is refused", lines: 2, losses: true, staff: true, refusals: true, ..PLAIN },
    Play { name: "a refund at the gateway itself", lines: 2, losses: true, elsewhere: true, ..PLAIN },
    Play { name: "a capture or a cancellation at the gateway itself", three_ds: true, by_hand: true, ..SCARCE },
    Play { name: "answers that are on their way", in_flight: true, three_ds: true, ..SCARCE },
    Play { name: "inboxes that forget", forgetful: true, lines: 2, staff: true, ..SCARCE },
    Play { name: "a silent gateway", silent: true, ..SCARCE },
    Play { name: "a payment deadline", deadline: true, retries: true, ..SCARCE },
    Play {
        name: "a customer who is waited for until a deadline, and lost webhooks",
        three_ds: true,
        lost_webhooks: true,
        deadline: true,
        ..SCARCE
    },
    Play {
        name: "a parcel that is packed and refused at the door",
        lines: 2,
        packing: true,
        refused_at_the_door: true,
        staff: true,
        ..SCARCE
    },
    Play {
        name: "the rest is called off while it is handed over",
        lines: 2,
        splits: true,
        calls_off: true,
        losses: true,
        refusals: true,
        paid: true,
        ..PLAIN
    },
    Play {
        name: "the rest can't leave",
        lines: 2,
        splits: true,
        calls_off: true,
        rest_stays: true,
        losses: true,
        paid: true,
        ..PLAIN
    },
    Play { name: "an order that is to go elsewhere", moves: true, ..SCARCE },
    Play {
        name: "two parcels that are to go elsewhere, or not at all",
        lines: 2,
        splits: true,
        moves: true,
        calls_off: true,
        paid: true,
        ..PLAIN
    },
    Play { name: "a customer who is forgotten", moves: true, forgets: true, returns: true, staff: true, ..PLAIN },
];

/// Everything but what somebody does at the gateway itself without telling payment-svc. It is too much to explore,
/// but random walks can go through it.
pub const EVERYTHING: Play = Play {
    name: "everything",
    lines: 2,
    retries: true,
    three_ds: true,
    lost_webhooks: true,
    returns: true,
    refused_at_the_door: true,
    splits: true,
    calls_off: true,
    moves: true,
    losses: true,
    deadline: true,
    staff: true,
    refusals: true,
    packing: true,
    silent: true,
    in_flight: true,
    ..PLAIN
};

/// What can be replayed on the services: not 3-D Secure and refunds by staff, whose commands are not part of it.
pub const TOLD: Play = Play {
    name: "told to the services",
    crowded: true,
    three_ds: false,
    staff: false,
    refusals: false,
    in_flight: false,
    ..EVERYTHING
};

/// The first of a range of unused seeds, or the seed that `DANCE_SEED` gives.
pub fn first_seed(seeds: u64) -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() * seeds;
    std::env::var("DANCE_SEED").map_or_else(|_| now(), |seed| seed.parse().unwrap())
}
