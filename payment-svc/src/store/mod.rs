//! All SQL of the service.

pub mod calls;
mod dead_letters;
pub mod ledger;
pub mod payments;
pub mod roots;

pub use dead_letters::DeadLetters;
