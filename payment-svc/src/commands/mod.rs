//! What changes a payment: a step of its state machine, and the gateway's answer.

mod follow;
mod retry;
mod settle;

pub use follow::{RETRY, follow, heard};
pub use retry::retry;
pub use settle::settle;
