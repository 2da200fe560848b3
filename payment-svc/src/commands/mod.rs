//! What changes a payment: a step of its state machine, and the gateway's answer.

mod follow;
mod intent_changed;
mod retry;
mod settle;

pub use follow::{RETRY, follow, heard};
pub use intent_changed::{Heard, NotHeard, intent_changed};
pub use retry::retry;
pub use settle::settle;
