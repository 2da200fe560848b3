//! The choreography of one order, explored on the services' own state machines.
//!
//! The domains of order-svc, stock-svc and payment-svc are pure: state and event in, state and events out. This model
//! joins them by topics, a gateway, people and timers. Topics keep their order and may lag by any amount; people and
//! timers may act at any time. It visits every reachable state, and every rule must hold in each.
//!
//! Other tests cover the outbox and the relay (here, what is committed is in its topic at once), the inbox's SQL, and
//! locks.
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
