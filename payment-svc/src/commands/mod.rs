//! What changes a payment: a step of its state machine, and the gateway's answer.

mod follow;
mod settle;

pub use follow::{follow, heard};
pub use settle::settle;
