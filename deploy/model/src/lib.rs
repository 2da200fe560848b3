//! The whole dance of one order on the services' own state machines.
//!
//! The domains of order-svc, stock-svc and payment-svc are pure: state and fact in, state and events out. Here they are
//! joined by topics that keep their order and are heard with every possible lag, by a gateway, and by people and timers
//! that may do anything at any moment; every state that can be reached is looked at, and every rule must hold in it.
//!
//! Left to the tests of others: outbox and relay (what is committed is in its topic), the inbox's SQL, locks.
#![allow(clippy::unwrap_used, reason = "support of tests, which fail by panicking")]

mod bank;
mod chance;
mod hear;
mod play;
mod rules;
mod sabotage;
mod seam;
mod search;
mod shared;
mod shelf;
mod steps;
mod story;
mod trace;
mod world;

pub use bank::Entry;
pub use chance::{Violation, Walked, walk};
pub use play::{Play, elsewhere};
pub use sabotage::Sabotage;
pub use search::{Broken, Explored, Until, explore};
pub use shelf::{Pieces, Shelf};
pub use steps::Label;
pub use story::Story;
pub use trace::{Action, Trace};
pub use world::Service;
