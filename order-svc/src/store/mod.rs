//! All SQL of the service but for what the kit and the outbox bring along.

pub mod answers;
mod dead_letters;
mod error;
pub mod orders;
pub mod products;
pub mod roots;
mod rows;
mod save;

pub use dead_letters::DeadLetters;
pub use error::AnnounceError;
pub use roots::Root;
