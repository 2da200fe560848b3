//! All SQL of the service but for what the kit and the outbox bring along.

pub mod answers;
mod error;
pub mod orders;
pub mod products;
pub mod roots;
mod rows;

pub use error::AnnounceError;
pub use roots::Root;
